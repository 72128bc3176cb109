"""What tables and figures need, compared with what the study makes: nothing is trained for what cannot be drawn."""

from collections.abc import Callable
from functools import partial
from typing import Any

from manyexits.files.rows import FOR_CONFIDENCE, one_protocol
from manyexits.study import components
from manyexits.study.refusals import StudyError, known
from manyexits.study.runs import Runs


def check(runs: Runs, kind: str, name: str) -> None:
    """Refuse a table or figure of what no stage makes.

    Raises:
        StudyError: names the key and the remedy.
    """
    what, drawn, options = runs.read_by(kind, name), runs.drawn(kind, name), runs.artefact(kind, name).options
    shared = runs.protocols(drawn)
    if not shared:
        raise StudyError(f"{kind}.{name}: its experiments have no protocol in common; leave some out, or give them one")
    for key, asked in options.items():
        if key in ASKED and asked is not None:
            ASKED[key](runs, f"{kind}.{name}.{key}", asked, drawn)
    if "protocols" in components.options(kind, runs.component(kind, name)).model_fields:
        own = {runs.study.criterion(runs.experiment(experiment)) for experiment in drawn}
        asked = options.get("criteria") or [options.get("criterion")]
        shown = own if asked == [None] else set(asked)
        _check_cells(f"{kind}.{name}", options.get("protocols") or shared, shown)
    if "protocol" in components.options(kind, runs.component(kind, name)).model_fields:
        one = options.get("protocol") or one_protocol(shared)
        for experiment in drawn:
            read_under = options.get("criterion") or runs.study.criterion(runs.experiment(experiment))
            _check_cells(f"{kind}.{name}", [one], {read_under})
    most = components.constant(kind, runs.component(kind, name), "MOST", None)
    component = runs.component(kind, name)
    for experiment in drawn:
        task = runs.dataset(experiment).task_name
        if task not in components.constant(kind, component, "TASKS", [task]):
            raise StudyError(f"{kind}.{name}: {component} is not defined for {task}; leave {experiment} out")
        regimes = runs.experiment(experiment).regimes
        if most is not None and len(regimes) > most:
            raise StudyError(
                f"{kind}.{name}: it shows {most} regimes of an experiment at most, and {experiment} has"
                f" {len(regimes)}; leave the experiment out, or some of its regimes"
            )
        if what == "comparisons" and len(regimes) == 1:
            raise StudyError(
                f"{kind}.{name}: it compares regimes, and {experiment} has {regimes[0]} alone; give it more, or"
                " leave it out"
            )
        if components.constant(kind, component, "SCHEDULED", False):
            _check_schedule(runs, f"{kind}.{name}", experiment)
        if what not in ("rows", "comparisons", "guarantees", "history"):
            _check_analysed(runs, f"{kind}.{name}", what, experiment)


def _check_cells(key: str, protocols: list[str], criteria: set[str]) -> None:
    """Some protocols are defined for confidence alone."""
    if set(protocols) <= set(FOR_CONFIDENCE) and "confidence" not in criteria:
        raise StudyError(
            f"{key}: the protocol {' or '.join(protocols)} is defined for confidence, and the experiments leave by"
            f" {', '.join(sorted(criteria))}; name other protocols, too"
        )


def _check_schedule(runs: Runs, key: str, experiment: str) -> None:
    """Regimes are compared by the share of one total that phase 1 takes."""
    totals = {regime: total for regime, (_, total) in runs.schedule(experiment).items()}
    if len(set(totals.values())) > 1 or 0 in totals.values():
        told = ", ".join(f"{regime} {total}" for regime, total in totals.items())
        raise StudyError(
            f"{key}: the backbone learns for one number of epochs in every regime, and in those of {experiment} for"
            f" {told}; give their recipes such epochs, or leave the experiment out"
        )


def _check_analysed(runs: Runs, key: str, analysis: str, experiment: str) -> None:
    if runs.analysed(analysis) == "answers":
        told = runs.analysis_options(analysis, experiment)
        for key in ("criterion", "protocol"):
            ASKED[key](runs, f"analyses.{analysis}.{key}", told[key], [experiment])
        _check_cells(f"analyses.{analysis}", [told["protocol"]], {told["criterion"]})
    if not runs.has(analysis, experiment):
        raise StudyError(
            f"{key}: {analysis} reads weights on the way of a training, and {experiment} keeps none; give its base"
            " `snapshots`, as in [0, 1, 10], or leave it out"
        )
    if not runs.units(analysis, experiment):
        least = components.constant("analysis", analysis, "LEAST", 1)
        raise StudyError(
            f"{key}: {analysis} compares {least} networks or more, of several regimes or seeds, and"
            f" {experiment} has the regimes {', '.join(runs.experiment(experiment).regimes)} and the seeds"
            f" {', '.join(map(str, runs.seeds(experiment)))}; give it more, or leave it out"
        )


def _some(runs: Runs, key: str, asked: list[str], drawn: list[str], what: str) -> None:
    if not asked:
        raise StudyError(f"{key}: this list must not be empty; null stands for those of the experiments")
    for each in asked:
        _one(runs, key, each, drawn, what)


def _one(runs: Runs, key: str, asked: str, drawn: list[str], what: str) -> None:
    """Of the protocols, or the criteria: every experiment that is drawn must be evaluated under it."""
    of = {"protocols": runs.study.protocols_of, "criteria": runs.study.criteria}[what]
    for experiment in drawn:
        evaluated = of(runs.experiment(experiment))
        if asked not in evaluated:
            if what == "criteria":
                known(key, asked, components.names("criteria"))
            raise StudyError(
                f"{key}: {experiment} is not evaluated under {asked!r}, but under {', '.join(evaluated)}; add it to the"
                f" experiment's {what}, or leave the experiment out"
            )


def _colours(runs: Runs, key: str, asked: dict[str, str], drawn: list[str]) -> None:
    regimes = dict.fromkeys(regime for experiment in drawn for regime in runs.experiment(experiment).regimes)
    for regime in asked:
        known(key, regime, list(regimes))


ASKED: dict[str, Callable[[Runs, str, Any, list[str]], None]] = {
    "protocols": partial(_some, what="protocols"),
    "protocol": partial(_one, what="protocols"),
    "criterion": partial(_one, what="criteria"),
    "criteria": partial(_some, what="criteria"),
    "colours": _colours,
}
"""Option of a table or figure -> what is asked of the study for it."""
