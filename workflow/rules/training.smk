# Steps 2 and 3: trainings. They resume: their state lies outside of what Snakemake deletes. What is trained is counted
# first, which takes seconds and finds a network that cannot be built.


rule count_backbone:
    input:
        unpack(STUDY.reads("count_backbone")),
    output:
        costs=f"{STUDY.output}/costs/backbones/{{dataset}}/{{backbone}}.json",
    log:
        f"{STUDY.output}/logs/count_backbone/{{dataset}}/{{backbone}}.log",
    benchmark:
        f"{STUDY.output}/benchmarks/count_backbone/{{dataset}}/{{backbone}}.tsv"
    priority: 1
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=STUDY.settings("count_backbone"),
        data=STUDY.folder("manifest"),
    message:
        "Counting the FLOPs of {wildcards.backbone} on {wildcards.dataset}"
    shell:
        "manyexits count_backbone --settings {params.settings:q} --data {params.data:q}"
        " --output {output.costs:q} 2> {log:q}"


rule count_flops:
    input:
        unpack(STUDY.reads("count_flops")),
    output:
        costs=f"{STUDY.output}/costs/{{experiment}}.json",
    log:
        f"{STUDY.output}/logs/count_flops/{{experiment}}.log",
    benchmark:
        f"{STUDY.output}/benchmarks/count_flops/{{experiment}}.tsv"
    priority: 1
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=STUDY.settings("count_flops"),
        data=STUDY.folder("manifest"),
    message:
        "Counting the FLOPs of {wildcards.experiment}"
    shell:
        "manyexits count_flops --settings {params.settings:q} --data {params.data:q}"
        " --output {output.costs:q} 2> {log:q}"


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
        tracking=STUDY.tracking,
        device=STUDY.device,
        # by which settings the data were prepared is told by their manifest, an input; here it is only checked
        prepared_by=STUDY.prepared_by("pretrain"),
    params:
        settings=STUDY.settings("pretrain"),
        data=STUDY.folder("manifest"),
        start=STUDY.start,
        folder=STUDY.folder("model"),
        checkpoints=f"{STUDY.output}/.checkpoints",
        run_name=STUDY.run_name,
    message:
        "Phase 1: {wildcards.backbone} on {wildcards.dataset}, recipe {wildcards.recipe}, seed {wildcards.seed}"
    shell:
        "manyexits pretrain --settings {params.settings:q} --data {params.data:q}"
        " --prepared-by {resources.prepared_by:q} {params.start:q}"
        " --output {params.folder:q} --checkpoints {params.checkpoints:q} --tracking {resources.tracking:q}"
        " --tracker {resources.tracker:q} --run-name {params.run_name:q} --device {resources.device:q}"
        " --attempt {resources.attempt:q} --minutes {resources.runtime:q} --workers {threads:q} 2>> {log:q}"


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
        tracking=STUDY.tracking,
        device=STUDY.device,
        # by which settings the data were prepared is told by their manifest, an input; here it is only checked
        prepared_by=STUDY.prepared_by("train"),
    params:
        settings=STUDY.settings("train"),
        data=STUDY.folder("manifest"),
        start=STUDY.start,
        folder=STUDY.folder("model"),
        checkpoints=f"{STUDY.output}/.checkpoints",
        run_name=STUDY.run_name,
    message:
        "Training {wildcards.experiment}, {wildcards.regime}, seed {wildcards.seed}"
    shell:
        "manyexits train --settings {params.settings:q} --data {params.data:q}"
        " --prepared-by {resources.prepared_by:q} {params.start:q}"
        " --output {params.folder:q} --checkpoints {params.checkpoints:q} --tracking {resources.tracking:q}"
        " --tracker {resources.tracker:q} --run-name {params.run_name:q} --device {resources.device:q}"
        " --attempt {resources.attempt:q} --minutes {resources.runtime:q} --workers {threads:q} 2>> {log:q}"


# keeps weights on its way, too
use rule train as train_with_snapshots with:
    output:
        model=ensure(f"{STUDY.run}/model.safetensors", non_empty=True),
        history=f"{STUDY.run}/history.csv",
        run=f"{STUDY.run}/run.json",
        snapshots=ensure(f"{STUDY.run}/snapshots.safetensors", non_empty=True),
    wildcard_constraints:
        experiment=STUDY.with_snapshots(),


ruleorder: train_with_snapshots > train
