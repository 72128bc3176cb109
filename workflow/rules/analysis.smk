# Step 8: findings that need trained networks. One job compares all regimes of a seed, or one regime under two seeds.


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
    threads: STUDY.most("analyse", "threads")
    resources:
        gpu=1,
        device=STUDY.device,
        mem_mb=16000,
        runtime=480,
    params:
        settings=STUDY.settings("analyse"),
        data=STUDY.folder("manifest"),
    message:
        "{wildcards.analysis} of {wildcards.experiment}, {wildcards.unit}"
    shell:
        "manyexits analyse --settings {params.settings:q} --data {params.data:q} --weights {input.models:q}"
        " --workers {threads:q} --device {resources.device:q}"
        " --output {output.rows:q} 2> {log:q}"
