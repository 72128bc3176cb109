"""The schema of the tidy rows, the only place where columns are spelled."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from manyexits.files import atomic, made
from manyexits.files.reading import reading

AGAIN = "remove it and evaluate the run again"
IDENTITY = ("experiment", "variant", "dataset", "backbone", "method", "regime", "seed")
"""Which run a row is of."""

COLUMNS = (
    *IDENTITY,
    "split",
    "protocol",
    "criterion",
    "budget",
    "exit",
    "threshold",
    "metric",
    "value",
    "unit",
    "n",
    "cost",
)
"""budget: fraction of the backbone's cost, or `max`. exit: from 1; empty for the policy as a whole. threshold: filled
only in points of a sweep. value: a fraction unless `unit` says otherwise. n: samples. cost: mean FLOPs of a sample."""

MEASURES = {"accuracy": "accuracy (%)", "spearman": "Spearman correlation (× 100)"}
"""Metric -> how people read it."""
BINS = 15
"""Bins of the reliability diagram (Guo et al., 2017); each has three metrics, as `bin3_share`."""
FOR_CONFIDENCE = ("geometric", "temperature")
"""Protocols that are defined for the criterion confidence alone."""


def defined(protocol: str, criterion: str) -> bool:
    """Whether a protocol chooses thresholds of a criterion."""
    return protocol not in FOR_CONFIDENCE or criterion == "confidence"


def one_protocol(protocols: Sequence[str]) -> str:
    """The one whose thresholds are shown where one is: `shared`, or a study's first."""
    return "shared" if "shared" in protocols else protocols[0]


COMPARED = (
    "experiment",
    "variant",
    "protocol",
    "criterion",
    "budget",
    "metric",
    "n",
    "seeds",
    "first",
    "second",
    "difference",
    "low",
    "high",
    "p",
)
"""Of what `compare` writes. first, second: regimes. difference: the first's mean minus the second's, a fraction or in
the unit of the metric; low, high: its 95 % interval; p: two-sided. n: samples."""

GUARANTEED = (
    *IDENTITY,
    "criterion",
    "loss",
    "procedure",
    "epsilon",
    "delta",
    "threshold",
    "chosen_on",
    "risk",
    "accuracy",
    "early",
    "cost",
    "backbone_cost",
    "n",
)
"""Of what `guarantee` writes. loss: what is guaranteed; epsilon: its tolerated risk; delta: probability with which it
may be missed, empty for a guarantee in expectation. threshold: in the criterion's units, or a word; chosen_on:
validation samples. risk, accuracy: fractions on test; early: share that leaves before the last exit; cost: mean FLOPs
of a sample, backbone_cost the backbone's; n: test samples."""

MADE_BY = "made_by"
"""Last column of what a stage writes: the digest of its settings, the same in every row. Files of earlier versions, and
those that nobody's settings made, lack it."""

HISTORY = ("phase", "epoch", "samples", "flops", "lr", "exit", "train_loss", "loss")
"""One row per epoch and exit; behind these the task's gain, `accuracy` of classes. samples and flops are cumulative
over the phases of a run; loss and gain are the validation split's; train_loss is empty for an exit that takes no part
in the phase."""


def to_csv(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    """Rows as CSV; floats with all their digits, None and NaN empty.

    Raises:
        AssertionError: for a key that is no column.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        assert set(row) <= set(columns), f"unknown columns {set(row) - set(columns)}"
        values = [row.get(column) for column in columns]
        writer.writerow([None if value != value else value for value in values])  # only NaN differs from itself
    return buffer.getvalue()


def write(
    path: Path, rows: list[dict[str, Any]], columns: tuple[str, ...] = COLUMNS, made_by: str | None = None
) -> None:
    """Write rows as a CSV file, whole or not at all; `made_by` is the digest of the settings that made them."""
    if made_by is not None:
        rows, columns = [{**row, MADE_BY: made_by} for row in rows], (*columns, MADE_BY)
    atomic.write_text(path, to_csv(rows, columns))


TEXT = (*IDENTITY[:-1], "split", "protocol", "criterion", "budget", "metric", "unit")
"""Columns of text, also where it reads `1e5` or `NA`."""
AT_ONCE = 200
"""Files that are joined at a time: thousands of small tables take much more memory than one."""


@dataclass(frozen=True)
class Wanted:
    """Which rows are kept. A study of thousands of runs has no room for the others."""

    metrics: Sequence[str] | None = None
    """None: all."""
    points: Sequence[str] | None = None
    """Protocols whose points of a sweep are kept; None: all."""


def _table(path: Path, made_by: str | None) -> Any:
    """One file as an Arrow table of the columns."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv as arrow

    types = {column: pa.string() if column in (*TEXT, MADE_BY) else pa.float64() for column in (*COLUMNS, MADE_BY)}
    types["seed"] = pa.int64()
    makers: list[str | None] = []
    with reading(path, "file of rows", AGAIN):
        table = arrow.read_csv(
            str(path),
            arrow.ReadOptions(use_threads=False),
            convert_options=arrow.ConvertOptions(column_types=types, null_values=[""], check_utf8=True),
        )
        if table.column_names[-1] == MADE_BY:
            makers, table = pc.unique(table[MADE_BY]).to_pylist(), table.drop_columns([MADE_BY])
        if tuple(table.column_names) != COLUMNS:
            raise ValueError("it has other columns than this version writes")
        if table["seed"].null_count:
            raise ValueError("a row has no seed")
    for maker in makers:
        made.by_digest(path, maker, made_by)
    return table


def read(paths: list[Path], wanted: Wanted = Wanted(), made_by: Sequence[str | None] = ()) -> Any:
    """Rows of several files as one DataFrame, text as categories.

    Args:
        paths: of the files.
        wanted: rows.
        made_by: digest of the settings that made each of the files, as far as that is known.

    Raises:
        ValueError: when a file is damaged, has other columns or was made by other settings, or two of them begin with
            the same run.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    read, tables = [], []
    files: dict[tuple[Any, ...], Path] = {}
    for path, expected in zip_longest(paths, made_by):
        table = _table(path, expected)
        for run in zip(*table.select(IDENTITY).slice(0, 1).to_pydict().values(), strict=True):
            if run in files:
                raise ValueError(f"{files[run]} and {path} hold rows of one run, which would count twice; name one")
            files[run] = path
        if wanted.metrics is not None:
            table = table.filter(pc.is_in(table["metric"], pa.array(wanted.metrics, pa.string())))
        if wanted.points is not None:
            swept = pc.is_in(table["protocol"], pa.array(wanted.points, pa.string()))
            table = table.filter(pc.or_(pc.is_null(table["threshold"]), swept))
        read.append(table)
        if len(read) == AT_ONCE or path == paths[-1]:
            joined = pa.concat_tables(read)
            for place, column in enumerate(COLUMNS):
                if column in TEXT:  # a few names, each in many rows
                    joined = joined.set_column(place, column, joined[column].dictionary_encode())
            tables.append(joined.combine_chunks())
            read = []
    everything = pa.concat_tables(tables).unify_dictionaries()
    del tables, joined  # so that what is converted is freed column by column
    frame = everything.to_pandas(split_blocks=True, self_destruct=True)
    del everything
    pa.default_memory_pool().release_unused()  # Arrow keeps what it has freed
    return frame
