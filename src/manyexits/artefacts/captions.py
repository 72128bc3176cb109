"""Captions of the report: workflow/report/{tables,figures}/{name}.rst, filled with what the study says about each."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from manyexits.files import reading
from manyexits.files.rows import MEASURES
from manyexits.study import components
from manyexits.study.entries import METRICS
from manyexits.study.plan import Plan

CAPTIONS = "workflow/report"
SAMPLES = ("images", "texts", "pairs of texts")
"""How people call samples, by the number of texts of each."""
SEEN = "- finding: "
"""Begins a note of a table, in Markdown, that says what was seen."""
RAW = ("{% raw %}", "{% endraw %}")
"""Between these jinja leaves text alone."""


class _Manifest(BaseModel):
    """What is read of a prepared dataset's manifest.json."""

    n: dict[str, int]


def title(checkout: Path, plan: Plan, kind: str, name: str) -> str:
    """The caption's first line: what the artefact shows.

    Raises:
        ValueError: when its file has no docstring either.
    """
    return _template(checkout, plan, kind, name).removeprefix(RAW[0]).splitlines()[0].removesuffix(RAW[1]).strip("*")


def caption(checkout: Path, plan: Plan, kind: str, name: str) -> str:
    """The whole caption as reStructuredText.

    Raises:
        ValueError: when a dataset's manifest is damaged.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(checkout / CAPTIONS), undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(_template(checkout, plan, kind, name)).render(facts(plan, kind, name))


def facts(plan: Plan, kind: str, name: str) -> dict[str, Any]:
    """What captions can name: the experiments that are drawn, their n per split, budgets, options."""
    experiments: list[dict[str, Any]] = []
    criteria: list[str] = []
    options = plan.runs.artefact(kind, name).options
    asked = options.get("criteria") or [options.get("criterion")]
    for drawn in plan.runs.drawn(kind, name):
        entry = plan.runs.experiment(drawn)
        criteria += asked if asked != [None] else [plan.study.criterion(entry)]
        told = {"name": drawn, "backbone": entry.backbone, "dataset": entry.dataset, "method": entry.method}
        dataset = plan.study.datasets[entry.dataset]
        told |= {"samples": SAMPLES[dataset.texts or 0], "measure": MEASURES[METRICS[dataset.task_name]]}
        n = _counts(Path(plan.study.data) / entry.dataset / "manifest.json")
        experiments.append(told | {"regimes": entry.regimes, "seeds": plan.runs.seeds(drawn), "n": n})
    return {
        "experiments": experiments,
        "budgets": ", ".join(f"{100 * budget:g} %" for budget in plan.study.budgets),
        "criteria": ", ".join(dict.fromkeys(criteria)),
        "measures": " or ".join(dict.fromkeys(each["measure"] for each in experiments)),
        "options": options,
        "analyses": plan.study.analyses,
        "representations": plan.study.representations,
        "findings": _findings(plan, plan.runs.read_by(kind, name)),
        "sources": [plan.below(file) for file in plan.job(kind.removesuffix("s"), name=name).reads["rows"]],
    }


def _findings(plan: Plan, what: str) -> list[str]:
    """What the tables of an analysis say that was seen, as far as they are made."""
    names = [name for name in plan.study.tables if plan.runs.read_by("tables", name) == what]
    files = [Path(plan.study.output) / "tables" / f"{name}.md" for name in names]
    lines = [line for file in files if file.exists() for line in reading.text(file).splitlines()]
    return [line.removeprefix(SEEN) for line in lines if line.startswith(SEEN)]


def _template(checkout: Path, plan: Plan, kind: str, name: str) -> str:
    """Its caption, or its kind's, or what its file says of itself, between marks that jinja leaves alone."""
    component = plan.runs.component(kind, name)
    for stem in (name, component):
        if (path := checkout / CAPTIONS / kind / f"{stem}.rst").exists():
            return reading.text(path)
    return RAW[0] + components.about(kind, component) + RAW[1]


def _counts(manifest: Path) -> dict[str, int] | None:
    """Samples of every split; None where the dataset is not prepared here."""
    return reading.json_as(manifest, _Manifest).n if manifest.exists() else None
