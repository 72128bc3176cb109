# Steps 2 and 3: trainings. They resume: their state lies in CHECKPOINTS, outside of what Snakemake deletes.


rule pretrain:
    input:
        unpack(STUDY.reads("pretrain")),
    output:
        model=ensure(f"{STUDY.backbone}/model.safetensors", non_empty=True),
        history=f"{STUDY.backbone}/history.csv",
        run=f"{STUDY.backbone}/run.json",
    log:
        f"{STUDY.output}/logs/pretrain/{{dataset}}/{{backbone}}/{{recipe}}/s{{seed}}.log",
    benchmark:
        f"{STUDY.output}/benchmarks/pretrain/{{dataset}}/{{backbone}}/{{recipe}}/s{{seed}}.tsv"
    threads: STUDY.most("pretrain", "threads")
    resources:
        gpu=STUDY.most("pretrain", "devices"),
        mem_mb=STUDY.memory("pretrain"),
        runtime=STUDY.minutes("pretrain"),
        attempt=STUDY.attempt,
        tracker=STUDY.tracker,
    params:
        settings=STUDY.settings("pretrain"),
        data=STUDY.folder("manifest"),
        start=STUDY.start,
        folder=STUDY.folder("model"),
        checkpoints=f"{STUDY.output}/.checkpoints",
        tracking=STUDY.tracking,
    message:
        "Phase 1: {wildcards.backbone} on {wildcards.dataset}, recipe {wildcards.recipe}, seed {wildcards.seed}"
    shell:
        "manyexits pretrain --settings {params.settings:q} --data {params.data:q} {params.start}"
        " --output {params.folder:q} --checkpoints {params.checkpoints:q} --tracking {params.tracking:q}"
        " --tracker {resources.tracker}"
        " --attempt {resources.attempt} --minutes {resources.runtime} --workers {threads} 2> {log:q}"


rule train:
    input:
        unpack(STUDY.reads("train")),
    output:
        model=ensure(f"{STUDY.run}/model.safetensors", non_empty=True),
        history=f"{STUDY.run}/history.csv",
        run=f"{STUDY.run}/run.json",
    log:
        f"{STUDY.output}/logs/train/{{experiment}}/{{regime}}/s{{seed}}.log",
    benchmark:
        f"{STUDY.output}/benchmarks/train/{{experiment}}/{{regime}}/s{{seed}}.tsv"
    threads: STUDY.most("train", "threads")
    resources:
        gpu=STUDY.most("train", "devices"),
        mem_mb=STUDY.memory("train"),
        runtime=STUDY.minutes("train"),
        attempt=STUDY.attempt,
        tracker=STUDY.tracker,
    params:
        settings=STUDY.settings("train"),
        data=STUDY.folder("manifest"),
        start=STUDY.start,
        folder=STUDY.folder("model"),
        checkpoints=f"{STUDY.output}/.checkpoints",
        tracking=STUDY.tracking,
    message:
        "Training {wildcards.experiment}, {wildcards.regime}, seed {wildcards.seed}"
    shell:
        "manyexits train --settings {params.settings:q} --data {params.data:q} {params.start}"
        " --output {params.folder:q} --checkpoints {params.checkpoints:q} --tracking {params.tracking:q}"
        " --tracker {resources.tracker}"
        " --attempt {resources.attempt} --minutes {resources.runtime} --workers {threads} 2> {log:q}"
