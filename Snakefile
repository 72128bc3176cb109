from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from manyexits.wiring import Wiring

min_version("9.27")


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


localrules:
    all,
    tables,
    figures,


include: "workflow/rules/data.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/report.smk"
