"""One total of epochs, shared out between phase 1 and what follows: the order of regimes, and their shares."""

from collections.abc import Iterable
from typing import Any

from manyexits.artefacts import frames


def share(identity: dict[str, Any], regime: str) -> float:
    """Share of the epochs in which the backbone learns that phase 1 takes, in an experiment's regime."""
    first, total = identity["schedule"][regime]
    return float(first / total)


def ordered(identity: dict[str, Any], regimes: Iterable[str]) -> list[str]:
    """An experiment's regimes, the one with the shortest phase 1 first."""
    return sorted(regimes, key=lambda regime: share(identity, regime))


def budgets(found: Iterable[str]) -> list[str]:
    """Budgets in the order of their cost."""
    return sorted(dict.fromkeys(found), key=lambda each: float("inf") if each == "max" else float(each))


def label(identity: dict[str, Any]) -> str:
    """An experiment, and its total."""
    total = max(total for _, total in identity["schedule"].values())
    return f"{frames.label(identity)}, {total} epochs"
