from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from manyexits.study import resolve
from manyexits.wiring import Wiring, asked_of

min_version("9.27")

try:  # what Snakemake's own reader loses, such as the first of two equal keys
    resolve.read([Path("config.yaml"), *map(Path, workflow.overwrite_configfiles)])
except ValueError as error:
    raise WorkflowError(str(error))


configfile: "config.yaml"


container: "envs/manyexits.sif"


try:
    STUDY = Wiring(config, Path("config.yaml"))
    STUDY.enter(workflow.is_main_process)
except ValueError as error:
    raise WorkflowError(str(error))


wildcard_constraints:
    **dict.fromkeys(
        [
            "dataset",
            "weights",
            "backbone",
            "recipe",
            "experiment",
            "regime",
            "analysis",
            "name",
        ],
        r"[A-Za-z0-9_][A-Za-z0-9_.-]*",
    ),
    seed=r"\d+",
    unit=r"s\d+|seeds",


rule all:
    default_target: True
    input:
        [STUDY.artefact(name) for name in STUDY.plan.runs.artefacts],
        STUDY.card,


rule tables:
    input:
        [STUDY.files("tables", name) for name in STUDY.plan.study.tables],


rule figures:
    input:
        [STUDY.files("figures", name) for name in STUDY.plan.study.figures],


for artefact in STUDY.plan.runs.artefacts:

    rule:
        name:
            artefact
        input:
            STUDY.artefact(artefact),
        localrule: True


for experiment in STUDY.plan.runs.shown:

    rule:
        name:
            experiment
        input:
            STUDY.experiment(experiment),
        localrule: True


localrules:
    all,
    tables,
    figures,


include: "workflow/rules/data.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/report.smk"


try:
    STUDY.check_targets(asked_of(workflow.is_main_process), workflow.rules)
except ValueError as error:
    raise WorkflowError(str(error))
