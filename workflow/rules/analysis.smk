# Step 8: findings about trained networks, about their activations, which are computed once for all that read them, or
# about what they answered. One job compares all regimes of a seed, or the seeds of every regime.


rule represent:
    input:
        unpack(STUDY.reads("represent")),
    output:
        representations=ensure(
            f"{STUDY.run}/representations.safetensors", non_empty=True
        ),
    log:
        f"{STUDY.output}/logs/represent/{{experiment}}/{{regime}}/s{{seed}}.log",
    benchmark:
        f"{STUDY.output}/benchmarks/represent/{{experiment}}/{{regime}}/s{{seed}}.tsv"
    threads: STUDY.most("represent", "threads")
    resources:
        gpu=1,
        device=STUDY.device,
        mem_mb=16000,
        runtime=480,
    params:
        settings=STUDY.settings("represent"),
        data=STUDY.folder("manifest"),
    message:
        "Activations of {wildcards.experiment}, {wildcards.regime}, seed {wildcards.seed}"
    shell:
        "manyexits represent --settings {params.settings:q} --data {params.data:q} --weights {input.model:q}"
        " --workers {threads:q} --device {resources.device:q}"
        " --output {output.representations:q} 2> {log:q}"


rule analyse:
    input:
        unpack(STUDY.reads("analyse")),
    output:
        rows=f"{STUDY.analysis}.csv",
        record=f"{STUDY.analysis}.json",
    log:
        f"{STUDY.output}/logs/analyse/{{analysis}}/{{experiment}}/{{unit}}.log",
    benchmark:
        f"{STUDY.output}/benchmarks/analyse/{{analysis}}/{{experiment}}/{{unit}}.tsv"
    wildcard_constraints:
        analysis=STUDY.analyses_of("models", "snapshots"),
    threads: STUDY.most("analyse", "threads")
    resources:
        gpu=1,
        device=STUDY.device,
        mem_mb=16000,
        runtime=480,
    params:
        settings=STUDY.settings("analyse"),
        data=STUDY.folder("manifest"),
        checkpoints=f"{STUDY.output}/.checkpoints",
    message:
        "{wildcards.analysis} of {wildcards.experiment}, {wildcards.unit}"
    shell:
        "manyexits analyse --settings {params.settings:q} --data {params.data:q} --runs {input.runs:q}"
        " --checkpoints {params.checkpoints:q} --workers {threads:q} --device {resources.device:q}"
        " --output {output.rows:q} 2> {log:q}"


# needs no network, and so no GPU
use rule analyse as analyse_answers with:
    wildcard_constraints:
        analysis=STUDY.analyses_of("answers", "representations"),
    threads: 1
    resources:
        device=STUDY.device,
        mem_mb=8000,
        runtime=120,
