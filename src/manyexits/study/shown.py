"""What tables and figures are made from: the jobs that draw them."""

from typing import TYPE_CHECKING

from manyexits.files.digests import digest
from manyexits.study import components
from manyexits.study.entries import METRICS
from manyexits.study.job import SUFFIXES, TRAINED, Draft, Job, Settings
from manyexits.study.regimes import frozen

if TYPE_CHECKING:
    from manyexits.study.jobs import Jobs

WHERE = ("dataset", "path", "hub_id", "hub_form", "store", "damaged", "shared")
"""Keys of a dataset that do not tell what its images are."""


def table(jobs: "Jobs", name: str) -> Draft:
    """A table, with the comparisons that it marks, and what makes a run one of the paper's."""
    draft, runs = _artefact(jobs, "tables", name), jobs.runs
    among = [] if runs.read_by("tables", name) == "comparisons" else compared(jobs, "tables", name)
    marked = [jobs.job("compare", experiment=each) for each in among]
    draft.reads["comparisons"] = [job.writes[0] for job in marked]
    if marked:
        draft.settings["made_from"]["comparisons"] = [job.whose for job in marked]
    more = beside(jobs, name)
    draft.reads["beside"] = [job.writes[0] for _, job in more]
    if more:
        draft.settings["beside"] = [what for what, _ in more]
        draft.settings["made_from"]["beside"] = [job.whose for _, job in more]
    for told, experiment in zip(draft.settings["experiments"], runs.drawn("tables", name), strict=True):
        regimes = runs.experiment(experiment).regimes
        told["published"] = {regime: published(jobs, experiment, regime) for regime in regimes}
    return draft


def compared(jobs: "Jobs", kind: str, name: str) -> list[str]:
    """Experiments whose regimes a table or figure compares; one that reads rows may have an option that asks for it."""
    runs = jobs.runs
    if runs.read_by(kind, name) == "comparisons":
        return runs.drawn(kind, name)
    asked = components.constant(kind, runs.component(kind, name), "COMPARED", None)
    if not runs.artefact(kind, name).options.get(asked):
        return []
    return [each for each in runs.drawn(kind, name) if len(runs.experiment(each).regimes) > 1]


def beside(jobs: "Jobs", name: str) -> list[tuple[str, Job]]:
    """What a table reads beside its rows, by kind."""
    found = []
    for what, experiment in jobs.runs.beside("tables", name):
        if what == "comparisons":
            found.append((what, jobs.job("compare", experiment=experiment)))
        else:
            names = [{"experiment": experiment, "unit": unit} for unit in jobs.runs.units(what, experiment)]
            found += [(what, jobs.job("analyse", analysis=what, **each)) for each in names]
    return found


def published(jobs: "Jobs", experiment: str, regime: str) -> str:
    """Digest of all that makes a run one of the paper's: data, backbone, method, phases and recipes. Names and
    placement are left out: the paper's placement is not public."""
    entry, study = jobs.runs.experiment(experiment), jobs.study
    data = jobs.runs.dataset(experiment).told("")
    recipes = [[phase, study.recipes[entry.recipe_of(regime, phase)].science()] for phase in study.regimes[regime]]
    network = {key: value for key, value in jobs.network(experiment).items() if key != "placement"}
    told = {"data": {key: value for key, value in data.items() if key not in WHERE}, "network": network}
    return digest(told | {"phases": recipes, "weights": jobs.initial(entry.backbone)})


def figure(jobs: "Jobs", name: str) -> Draft:
    """A figure, and which regimes leave the backbone as it was."""
    draft = _artefact(jobs, "figures", name)
    draft.settings["plain"] = [regime for regime in draft.settings["regimes"] if _keeps_backbone(jobs, regime)]
    return draft


def _keeps_backbone(jobs: "Jobs", regime: str) -> bool:
    """Whether a regime leaves the backbone as phase 1 made it."""
    first, *later = jobs.study.regimes[regime]
    return first == "backbone" and all("backbone" in frozen(phase) for phase in later)


def _artefact(jobs: "Jobs", kind: str, name: str) -> Draft:
    runs = jobs.runs
    drawn, what = runs.drawn(kind, name), runs.read_by(kind, name)
    if what == "rows":
        read = [jobs.job("evaluate", **names) for experiment in drawn for names in runs.of(experiment)]
    elif what == "history":
        read = [jobs.job("train", **names) for experiment in drawn for names in runs.of(experiment)]
    elif what == "guarantees":
        read = [jobs.job("guarantee", **names) for experiment in drawn for names in runs.of(experiment)]
    elif what == "comparisons":
        read = [jobs.job("compare", experiment=experiment) for experiment in drawn]
    else:
        pairs = ((experiment, unit) for experiment in drawn for unit in runs.units(what, experiment))
        read = [jobs.job("analyse", analysis=what, experiment=each, unit=unit) for each, unit in pairs]
    regimes = dict.fromkeys(regime for each in drawn for regime in runs.experiment(each).regimes)
    component = runs.component(kind, name)
    scheduled = components.constant(kind, component, "SCHEDULED", False)
    told = {
        "name": component,
        "experiments": [
            runs.identity(each) | _read_under(jobs, each) | (_schedule(jobs, each) if scheduled else {})
            for each in drawn
        ],
        "regimes": list(regimes),
        "protocols": runs.protocols(drawn),
        "options": runs.artefact(kind, name).options,
        "source": components.source(kind, component),
        "made_from": {"rows": [job.whose for job in read]},
    }
    inputs = [job.writes[0] for job in read]
    if what == "history":  # with the record that tells whose it is
        inputs = [file for job in read for file in job.writes[1 : len(TRAINED)]]
        told["made_from"] = {"rows": [job.whose for job in read for _ in TRAINED[1:]]}
        told["runs"] = [_named(jobs, job) for job in read]
    files = [f"{name}.{suffix}" for suffix in SUFFIXES[kind.removesuffix("s")]]
    return Draft(told, {"rows": inputs}, jobs.made(kind, *files))


def _named(jobs: "Jobs", job: Job) -> Settings:
    """Whose history a training's is."""
    identity = jobs.runs.identity(job.names["experiment"])
    return {name: identity[name] for name in ("experiment", "variant")} | {
        name: job.names[name] for name in ("regime", "seed")
    }


def _schedule(jobs: "Jobs", experiment: str) -> Settings:
    """How the epochs in which the backbone learns are shared out."""
    return {"schedule": {regime: list(epochs) for regime, epochs in jobs.runs.schedule(experiment).items()}}


def _read_under(jobs: "Jobs", experiment: str) -> Settings:
    """The exit rule and the measure that artefacts show of an experiment."""
    metric = METRICS[jobs.runs.dataset(experiment).task_name]
    return {"criterion": jobs.study.criterion(jobs.runs.experiment(experiment)), "metric": metric}
