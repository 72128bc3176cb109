"""Shares of exits in the gradients of stages: what the table and the figure of them share."""

import pandas as pd

from manyexits.artefacts import frames

SHARE = "projection_share"


def last_phase(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of one regime in its last phase that has any."""
    return rows[rows["place"] == rows["place"].max()]


def over_epochs(rows: pd.DataFrame, metric: str = SHARE) -> pd.DataFrame:
    """Stage x exit: means over the snapshots behind the first step, and over seeds; empty where an exit lies before."""
    own = rows[(rows["metric"] == metric) & (rows["epoch"] > 0)]
    own = own if len(own) else rows[rows["metric"] == metric]
    found = own.pivot_table(index="stage", columns="exit", values="value", aggfunc="mean", dropna=False)
    return found.rename(columns=int).sort_index()


def dominant(rows: pd.DataFrame) -> pd.DataFrame:
    """Stage x epoch: the exit with the largest share, means of which are over seeds."""
    own = rows[rows["metric"] == SHARE]
    means = own.groupby(["epoch", "stage", "exit"])["value"].mean().dropna().reset_index()
    largest = means.loc[means.groupby(["epoch", "stage"])["value"].idxmax()]
    return largest.pivot_table(index="stage", columns="epoch", values="exit", dropna=False).sort_index()


def phases(rows: pd.DataFrame) -> str:
    """The phase that these rows are of, and the epochs of its snapshots."""
    epochs = sorted(rows["epoch"].unique())
    return f"phase {rows['phase'].iloc[0]}, epochs {', '.join(f'{epoch:g}' for epoch in epochs)}"


def whole(frame: pd.DataFrame) -> None:
    """Refuse rows with an empty cell where none may be."""
    frames.whole(frame, (*frames.NAMES, "exit", "value", "weight", "note"))
