# Step 8: findings about trained networks, or about what they answered. One job compares all regimes of a seed, or one
# regime under two seeds.


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
        analysis=STUDY.analyses_of("models"),
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
        "manyexits analyse --settings {params.settings:q} --data {params.data:q} --runs {input.runs:q}"
        " --workers {threads:q} --device {resources.device:q}"
        " --output {output.rows:q} 2> {log:q}"


# needs no network, and so neither GPU nor much memory
use rule analyse as analyse_answers with:
    wildcard_constraints:
        analysis=STUDY.analyses_of("answers"),
    threads: 1
    resources:
        device=STUDY.device,
        mem_mb=4000,
        runtime=30,
