"""Analyses of trained networks, and of what is kept of them: the jobs that make them."""

from typing import TYPE_CHECKING

from manyexits.study import components
from manyexits.study.job import ANALYSIS, RUN, Draft, Job

if TYPE_CHECKING:
    from manyexits.study.jobs import Jobs

SOURCES = {
    "models": ("train", 0),
    "snapshots": ("train", 3),
    "representations": ("represent", 0),
    "answers": ("evaluate", 1),
}
"""What an analysis reads of a run -> the stage that writes it, and the place of its file among that stage's."""


def representations(jobs: "Jobs") -> list[Job]:
    """The activations of every run that some analysis reads."""
    read = {
        (job.names["experiment"], run["regime"], run["seed"]): None
        for job in analyses(jobs)
        if jobs.runs.analysed(job.names["analysis"]) == "representations"
        for run in job.settings["runs"]
    }
    return [jobs.job("represent", experiment=name, regime=regime, seed=seed) for name, regime, seed in read]


def analyses(jobs: "Jobs") -> list[Job]:
    """Every analysis whose rows some table or figure draws."""
    runs = jobs.runs
    pairs = [
        pair
        for name, kinds in runs.artefacts.items()
        for kind in kinds
        for pair in (
            *((runs.read_by(kind, name), experiment) for experiment in runs.drawn(kind, name)),
            *runs.beside(kind, name),
        )
    ]
    drawn = {
        (what, experiment, unit): None
        for what, experiment in pairs
        if what in jobs.study.analyses
        for unit in runs.units(what, experiment)
    }
    return [jobs.job("analyse", analysis=what, experiment=name, unit=unit) for what, name, unit in drawn]


def represent(jobs: "Jobs", experiment: str, regime: str, seed: int) -> Draft:
    """What is kept of the activations of one run."""
    folder = RUN.format(experiment=experiment, regime=regime, seed=seed)
    (model,) = jobs.made(folder, "model.safetensors")
    trained = jobs.job("train", experiment=experiment, regime=regime, seed=seed)
    settings = {
        "network": jobs.network(experiment),
        "kept": jobs.study.representations.model_dump(),
        "made_from": {"model": trained.whose},
    }
    reads = jobs.data(jobs.runs.experiment(experiment).dataset) | {"model": model}
    return Draft(settings, reads, jobs.made(folder, "representations.safetensors"), trained.recipes)


def analyse(jobs: "Jobs", analysis: str, experiment: str, unit: str) -> Draft:
    """One analysis of one experiment: of all regimes of a seed, or across seeds."""
    compared = jobs.runs.compared(analysis, experiment, unit)
    what = jobs.runs.analysed(analysis)
    stage, written = SOURCES[what]
    read = [jobs.job(stage, experiment=experiment, regime=each, seed=seed) for each, seed in compared]
    reads = jobs.data(jobs.runs.experiment(experiment).dataset)
    reads["runs"] = [job.writes[written] for job in read]
    settings = {
        "analysis": analysis,
        "identity": jobs.runs.identity(experiment),
        "network": jobs.network(experiment),
        "options": jobs.runs.analysis_options(analysis, experiment),
        "runs": [{"regime": regime, "seed": seed} for regime, seed in compared],
        "made_from": {what: [job.whose for job in read]},
        **components.versions(analysis=[analysis]),
    }
    place = ANALYSIS.format(analysis=analysis, experiment=experiment, unit=unit)
    recipes = tuple(recipe for job in read for recipe in job.recipes)
    return Draft(settings, reads, [f"{jobs.study.output}/{place}.{suffix}" for suffix in ("csv", "json")], recipes)
