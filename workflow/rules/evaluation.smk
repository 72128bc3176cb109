# Steps 4 to 7: from a trained network to tidy rows, and to what tells regimes apart. Only predict loads torch.


rule predict:
    input:
        unpack(STUDY.reads("predict")),
    output:
        predictions=ensure(f"{STUDY.run}/predictions.safetensors", non_empty=True),
    log:
        f"{STUDY.output}/logs/predict/{{experiment}}/{{regime}}/s{{seed}}.log",
    benchmark:
        f"{STUDY.output}/benchmarks/predict/{{experiment}}/{{regime}}/s{{seed}}.tsv"
    threads: STUDY.most("train", "threads")
    resources:
        gpu=1,
        device=STUDY.device,
        mem_mb=STUDY.memory("train"),
        runtime=60,
    params:
        settings=STUDY.settings("predict"),
        data=STUDY.folder("manifest"),
    message:
        "Predicting with {wildcards.experiment}, {wildcards.regime}, seed {wildcards.seed}"
    shell:
        "manyexits predict --settings {params.settings:q} --data {params.data:q} --weights {input.model:q}"
        " --workers {threads:q} --device {resources.device:q}"
        " --output {output.predictions:q} 2> {log:q}"


rule calibrate:
    input:
        unpack(STUDY.reads("calibrate")),
    output:
        thresholds=f"{STUDY.run}/thresholds.json",
    log:
        f"{STUDY.output}/logs/calibrate/{{experiment}}/{{regime}}/s{{seed}}.log",
    benchmark:
        f"{STUDY.output}/benchmarks/calibrate/{{experiment}}/{{regime}}/s{{seed}}.tsv"
    group:
        "numbers"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=STUDY.settings("calibrate"),
    message:
        "Thresholds of {wildcards.experiment}, {wildcards.regime}, seed {wildcards.seed}"
    shell:
        "manyexits calibrate --settings {params.settings:q} --predictions {input.predictions:q} --costs {input.costs:q}"
        " --output {output.thresholds:q} 2> {log:q}"


rule evaluate:
    input:
        unpack(STUDY.reads("evaluate")),
    output:
        rows=f"{STUDY.run}/rows.csv",
        answers=ensure(f"{STUDY.run}/answers.safetensors", non_empty=True),
        record=f"{STUDY.run}/rows.json",
    log:
        f"{STUDY.output}/logs/evaluate/{{experiment}}/{{regime}}/s{{seed}}.log",
    benchmark:
        f"{STUDY.output}/benchmarks/evaluate/{{experiment}}/{{regime}}/s{{seed}}.tsv"
    group:
        "numbers"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=STUDY.settings("evaluate"),
    message:
        "Rows of {wildcards.experiment}, {wildcards.regime}, seed {wildcards.seed}"
    shell:
        "manyexits evaluate --settings {params.settings:q} --predictions {input.predictions:q}"
        " --thresholds {input.thresholds:q} --costs {input.costs:q} --output {output.rows:q} 2> {log:q}"


rule guarantee:
    input:
        unpack(STUDY.reads("guarantee")),
    output:
        guarantees=f"{STUDY.run}/guarantees.csv",
        record=f"{STUDY.run}/guarantees.json",
    log:
        f"{STUDY.output}/logs/guarantee/{{experiment}}/{{regime}}/s{{seed}}.log",
    benchmark:
        f"{STUDY.output}/benchmarks/guarantee/{{experiment}}/{{regime}}/s{{seed}}.tsv"
    group:
        "numbers"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=STUDY.settings("guarantee"),
    message:
        "Thresholds with a guarantee of {wildcards.experiment}, {wildcards.regime}, seed {wildcards.seed}"
    shell:
        "manyexits guarantee --settings {params.settings:q} --predictions {input.predictions:q} --costs {input.costs:q}"
        " --output {output.guarantees:q} 2> {log:q}"


rule compare:
    input:
        unpack(STUDY.reads("compare")),
    output:
        comparisons=f"{STUDY.output}/comparisons/{{experiment}}.csv",
        record=f"{STUDY.output}/comparisons/{{experiment}}.json",
    log:
        f"{STUDY.output}/logs/compare/{{experiment}}.log",
    benchmark:
        f"{STUDY.output}/benchmarks/compare/{{experiment}}.tsv"
    group:
        "numbers"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=STUDY.settings("compare"),
    message:
        "Comparing the regimes of {wildcards.experiment}"
    shell:
        "manyexits compare --settings {params.settings:q} --answers {input.answers:q}"
        " --output {output.comparisons:q} 2> {log:q}"
