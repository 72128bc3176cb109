# Step 1: datasets as their publishers ship them become arrays, and pretrained weights safetensors. Raw files are no
# inputs: a dry run must not need them.


rule prepare:
    output:
        manifest=f"{STUDY.data}/{{dataset}}/manifest.json",
        splits=f"{STUDY.data}/{{dataset}}/splits.json",
        checksums=f"{STUDY.data}/{{dataset}}/SHA256SUMS",
        arrays=directory(f"{STUDY.data}/{{dataset}}/arrays"),
    log:
        f"{STUDY.data}/logs/{{dataset}}.log",
    benchmark:
        f"{STUDY.data}/benchmarks/{{dataset}}.tsv"
    threads: 8
    resources:
        mem_mb=16000,
        runtime=120,
        # where raw files lie changes no result, so it is a resource: resources never trigger a rerun
        data_root=STUDY.raw,
        hub=STUDY.hub,
    params:
        settings=STUDY.settings("prepare"),
        folder=STUDY.folder("manifest"),
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "manyexits prepare --settings {params.settings:q} --data-root {resources.data_root:q} {resources.hub:q}"
        " --workers {threads:q} --output {params.folder:q} 2> {log:q}"


rule weights:
    output:
        model=ensure(
            f"{STUDY.data}/weights/{{weights}}/model.safetensors", non_empty=True
        ),
        manifest=f"{STUDY.data}/weights/{{weights}}/manifest.json",
    log:
        f"{STUDY.data}/logs/weights/{{weights}}.log",
    benchmark:
        f"{STUDY.data}/benchmarks/weights/{{weights}}.tsv"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
        data_root=STUDY.raw,
        hub=STUDY.hub,
    params:
        settings=STUDY.settings("weights"),
        folder=STUDY.folder("manifest"),
    message:
        "Pretrained weights {wildcards.weights}"
    shell:
        "manyexits weights --settings {params.settings:q} --data-root {resources.data_root:q} {resources.hub:q} --output {params.folder:q} 2> {log:q}"
