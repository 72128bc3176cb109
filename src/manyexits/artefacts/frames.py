"""What tables and figures share: reading the rows that they draw, and means over seeds."""

from pathlib import Path
from typing import Any

import pandas as pd

from manyexits.files import rows

PUBLISHED = Path(__file__).parent / "published.csv"


MEASURES = {"accuracy": "accuracy (%)", "spearman": "Spearman correlation (× 100)"}
"""Metric -> how people read it."""


def read(reads: str, paths: list[Path]) -> pd.DataFrame:
    """The files that a table or figure declares to read, as one frame.

    Raises:
        ValueError: when a file has other columns than this version writes.
    """
    if reads == "rows":
        return rows.read(paths)
    text = {"experiment": "string", "variant": "string"}
    frames = [pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""]) for path in paths]
    return pd.concat(frames, ignore_index=True).fillna({"variant": ""})


def label(identity: dict[str, Any]) -> str:
    """An experiment's name as people see it."""
    return identity["experiment"] + (f".{identity['variant']}" if identity["variant"] else "")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def of(frame: pd.DataFrame, identity: dict[str, Any]) -> pd.DataFrame:
    """The rows of one experiment."""
    return frame[(frame["experiment"] == identity["experiment"]) & (frame["variant"] == identity["variant"])]


def regimes(frame: pd.DataFrame, identity: dict[str, Any], order: list[str]) -> list[str]:
    """Regimes of one experiment, in the order of the study; an experiment need not have all of them."""
    own = set(of(frame, identity)["regime"])
    return [regime for regime in order if regime in own]


def no_control(connectivity: pd.DataFrame) -> str:
    """Why an experiment has no two-seed control."""
    one = connectivity["seed"].nunique() == 1
    return "no control: one seed" if one else "no control: the experiment does not train its regime"


def over_seeds(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """mean, std (of the sample; empty for one seed) and n of `value`, and the mean `cost`; groups in first order."""
    grouped = frame.groupby(by, sort=False, dropna=False)
    columns = {"mean": ("value", "mean"), "std": ("value", "std"), "n": ("value", "count"), "cost": ("cost", "mean")}
    return grouped.agg(**columns).reset_index()


def published(artefact: str) -> pd.DataFrame:
    """The paper's numbers for an artefact, as fractions, with their origin."""
    everything = pd.read_csv(PUBLISHED)
    return everything[everything["artefact"] == artefact]
