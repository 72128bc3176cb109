"""Captions of the report: workflow/report/{tables,figures}/{name}.rst, filled with what the study says about each."""

import json
from pathlib import Path
from typing import Any

from manyexits.study.plan import Plan

CAPTIONS = "workflow/report"


def title(checkout: Path, kind: str, name: str) -> str:
    """The caption's first line: what the artefact shows.

    Raises:
        ValueError: when it has no caption.
    """
    return _template(checkout, kind, name).splitlines()[0].strip("*")


def caption(checkout: Path, plan: Plan, kind: str, name: str) -> str:
    """The whole caption as reStructuredText.

    Raises:
        ValueError: when it has no caption, or a dataset has no manifest to tell n.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(checkout / CAPTIONS), undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(_template(checkout, kind, name)).render(facts(plan, kind, name))


def facts(plan: Plan, kind: str, name: str) -> dict[str, Any]:
    """What captions can name: the experiments that are drawn, their n per split, budgets, options."""
    experiments, criteria = [], []
    asked = plan.runs.artefact(kind, name).options.get("criterion")
    for drawn in plan.runs.drawn(kind, name):
        entry = plan.runs.experiment(drawn)
        criteria.append(asked or plan.study.criterion(entry))
        told = {"name": drawn, "backbone": entry.backbone, "dataset": entry.dataset, "method": entry.method}
        n = _images(Path(plan.study.data) / entry.dataset / "manifest.json")
        experiments.append(told | {"regimes": entry.regimes, "seeds": plan.runs.seeds(drawn), "n": n})
    return {
        "experiments": experiments,
        "budgets": ", ".join(f"{100 * budget:g} %" for budget in plan.study.budgets),
        "criteria": ", ".join(dict.fromkeys(criteria)),
        "options": plan.runs.artefact(kind, name).options,
        "analyses": plan.study.analyses,
        "sources": [plan.below(file) for file in plan.job(kind.removesuffix("s"), name=name).reads["rows"]],
    }


def _template(checkout: Path, kind: str, name: str) -> str:
    path = checkout / CAPTIONS / kind / f"{name}.rst"
    if not path.exists():
        raise ValueError(f"{kind}.{name} has no caption; write {CAPTIONS}/{kind}/{name}.rst, its first line a title")
    return path.read_text(encoding="utf-8")


def _images(manifest: Path) -> dict[str, int]:
    if not manifest.exists():
        raise ValueError(f"{manifest} is missing, so that no caption can tell n; prepare the dataset first")
    return json.loads(manifest.read_text(encoding="utf-8"))["n"]
