"""What tables and figures share: reading the rows that they draw, and means over seeds."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from manyexits.artefacts import histories
from manyexits.files import made, rows
from manyexits.files.reading import reading
from manyexits.study import components

NAMES = ("experiment", "variant")
"""Columns that tell experiments apart."""
COMPARED_TEXT = ("protocol", "criterion", "budget", "metric", "first", "second")
"""Columns of comparisons that hold text."""
GUARANTEED_TEXT = (*rows.IDENTITY[:-1], "criterion", "loss", "procedure", "threshold")
"""Columns of guarantees that hold text."""
EMPTY = {"comparisons": NAMES, "guarantees": (*NAMES, "delta")}
"""What is read -> those of its columns in which a cell may be empty."""
WHOLE = ("exit", "n", "seed", "second_seed", "seeds")
"""Columns of whole numbers."""
REGIMES = ("regime", "first", "second")
"""Columns that name regimes: of a run, or of the two that an analysis compares."""
COMPARISONS = SimpleNamespace(READS="comparisons", OPTION="--comparisons")
"""What stands for a table where comparisons are read beside its own rows."""
PUBLISHED = Path(__file__).parent / "published.csv"


def read(
    module: Any,
    paths: list[Path],
    drawn: list[dict[str, Any]],
    made_by: Sequence[str | None] = (),
    regimes: Sequence[str] = (),
    runs: Sequence[dict[str, Any]] = (),
) -> pd.DataFrame:
    """The files that a table or figure declares to read, as one frame.

    Args:
        module: the table or figure. It READS `rows`, `comparisons`, `guarantees`, `history` or an analysis; of rows it
            may name the METRICS and, by protocols, the POINTS of sweeps that it draws.
        paths: of the files.
        drawn: the experiments (identities) that the table or figure shows.
        made_by: digest of the settings that made each of the files, as far as that is known.
        regimes: that are drawn; empty: all that there are.
        runs: experiment, variant, regime and seed of every history.

    Raises:
        ValueError: when a file is damaged, has other columns than this version writes, was made by other settings,
            repeats another, or is of an experiment or a regime that is not drawn.
    """
    option = getattr(module, "OPTION", "--inputs")
    if module.READS == "history":
        return histories.read(paths, runs, list(made_by) or [None] * len(paths))
    frame = (_rows if module.READS == "rows" else _other)(module, paths, made_by)
    for column in frame.columns.intersection(list(WHOLE)):
        values = frame[column].dropna()
        if not (values.mod(1).eq(0) & values.abs().lt(2**53)).all():
            raise ValueError(f"{option}: a row's {column} is no whole number; let the workflow make the files again")
    found = records(frame[list(NAMES)].drop_duplicates())
    known = [{name: identity[name] for name in NAMES} for identity in drawn]
    if foreign := [label(identity) for identity in found if identity not in known]:
        raise ValueError(f"{option}: there are rows of {foreign[0]!r}, which is not drawn; leave its files out")
    for column in frame.columns.intersection(list(REGIMES)):
        unknown = sorted(set(frame[column].dropna().unique()) - set(regimes))
        if regimes and unknown:
            raise ValueError(
                f"{option}: there are rows of the regime {unknown[0]!r}, which is not drawn; leave its files out"
            )
    return frame


def beside(settings: dict[str, Any], paths: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """What a table reads beside its rows: kind -> frame.

    Raises:
        ValueError: as `read`.
    """
    kinds, made_by = settings.get("beside", []), made.each(settings, "beside", paths)
    if len(kinds) != len(paths):
        raise ValueError(f"--beside: the settings name {len(kinds)} files, but {len(paths)} are given; give those")
    found = {}
    for kind in dict.fromkeys(kinds):
        own = [number for number, each in enumerate(kinds) if each == kind]
        module = SimpleNamespace(READS=kind, OPTION="--beside")
        read_ = [paths[number] for number in own], settings["experiments"], [made_by[number] for number in own]
        found[kind] = read(module, *read_, settings["regimes"])
    return found


def _rows(module: Any, paths: list[Path], made_by: Sequence[str | None]) -> pd.DataFrame:
    return rows.read(paths, rows.Wanted(getattr(module, "METRICS", None), getattr(module, "POINTS", None)), made_by)


def _other(module: Any, paths: list[Path], made_by: Sequence[str | None]) -> pd.DataFrame:
    """Comparisons, or the rows of an analysis."""
    what = module.READS
    names: tuple[str, ...]
    if what == "comparisons":
        columns, names, kind = list(rows.COMPARED), COMPARED_TEXT, "file of comparisons"
    elif what == "guarantees":
        columns, names, kind = list(rows.GUARANTEED), GUARANTEED_TEXT, "file of guarantees"
    else:
        columns = [*NAMES, *components.constant("analysis", what, "COLUMNS", ())]
        names, kind = components.constant("analysis", what, "TEXT", ()), "file of an analysis"
    text = [*NAMES, *names, rows.MADE_BY]
    frames = []
    for path, expected in zip_longest(paths, made_by):
        with reading(path, kind):
            frame = pd.read_csv(path, dtype=dict.fromkeys(text, "string"), keep_default_na=False, na_values=[""])
            makers: list[str] = []
            if frame.columns[-1] == rows.MADE_BY:
                makers = list(frame.pop(rows.MADE_BY).dropna().unique())
            if list(frame.columns) != columns:
                raise ValueError("it has other columns than this version writes")
            for column in frame.columns.difference(text):
                if frame[column].dtype.kind not in "iuf":
                    raise ValueError(f"{column} is no number; a column of text stands in the analysis's TEXT")
            if what in EMPTY:
                whole(frame, EMPTY[what])
            if what == "comparisons":
                _check_budgets(frame)
        for maker in makers:
            made.by_digest(path, maker, expected)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True).fillna({"experiment": "", "variant": ""})


def _check_budgets(frame: pd.DataFrame) -> None:
    limits = frame.loc[frame["budget"] != "max", "budget"]
    if wrong := list(limits[pd.to_numeric(limits, errors="coerce").isna()]):
        raise ValueError(f"{wrong[0]!r} is no budget")


def whole(frame: pd.DataFrame, but: Sequence[str]) -> None:
    """Refuse rows with an empty cell, in all columns but some.

    Raises:
        ValueError: names the column.
    """
    missing = frame.drop(columns=list(but)).isna().any()
    if missing.any():
        raise ValueError(f"a row lacks its {missing.idxmax()}")


def budget(given: str) -> str:
    """A budget as people read it."""
    return "Max" if given == "max" else f"{100 * float(given):g} %"


def each(frame: pd.DataFrame, identities: list[dict[str, Any]]) -> list[pd.DataFrame]:
    """The rows of every experiment, found in one pass.

    Raises:
        ValueError: for an experiment without rows.
    """
    groups = dict(tuple(frame.groupby(list(NAMES), sort=False)))
    keys = [tuple(identity[name] for name in NAMES) for identity in identities]
    if absent := [label(identity) for identity, key in zip(identities, keys, strict=True) if key not in groups]:
        raise ValueError(f"there are no rows of {absent[0]}; evaluate its runs")
    return [groups[key] for key in keys]


def label(identity: dict[str, Any]) -> str:
    """An experiment's name as people see it."""
    return identity["experiment"] + (f".{identity['variant']}" if identity["variant"] else "")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def protocol(told: dict[str, Any], asked: str | None) -> str:
    """Of an artefact that shows one: what is asked for; else `shared`, or the first that all its experiments have."""
    return asked or rows.one_protocol(told.get("protocols", ["shared"]))


def seeds(frame: pd.DataFrame) -> str:
    """How many seeds the means of some rows are over."""
    count = frame["seed"].nunique()
    return f"{count} seeds" if count > 1 else "one seed"


def of(frame: pd.DataFrame, identity: dict[str, Any]) -> pd.DataFrame:
    """The rows of one experiment."""
    return frame[(frame["experiment"] == identity["experiment"]) & (frame["variant"] == identity["variant"])]


def regimes(frame: pd.DataFrame, order: list[str]) -> list[str]:
    """Regimes of one experiment's rows, in the order of the study; an experiment need not have all of them."""
    own = set(frame["regime"].unique())
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


def published(artefacts: Sequence[str]) -> pd.DataFrame:
    """The paper's numbers for some artefacts, as fractions, with their origin; without a lower end they say "up to"."""
    everything = pd.read_csv(PUBLISHED)
    return everything[everything["artefact"].isin(artefacts)]
