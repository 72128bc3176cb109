"""Phases as data. A regime is a list of phases (config.yaml); a phase is the parameter groups that it trains, and the
exits whose loss it minimises (the paper's Equations 1 to 3)."""

GROUPS = {"backbone": ("backbone",), "all": ("backbone", "heads", "extras"), "heads": ("heads", "extras")}
"""Phase -> parameter groups that learn; all others are frozen, BatchNorm's buffers included."""


def frozen(phase: str) -> set[str]:
    """Parameter groups that a phase leaves alone."""
    return set(GROUPS["all"]) - set(GROUPS[phase])


def learning_exits(phase: str, n_exits: int) -> tuple[int, ...]:
    """Exits (from 1) that can learn in a phase: the last, all, or all but the last.

    Raises:
        ValueError: when there is none.
    """
    exits = {"backbone": range(n_exits, n_exits + 1), "all": range(1, n_exits + 1), "heads": range(1, n_exits)}[phase]
    if not exits:
        raise ValueError(f"phase {phase} has nothing to learn: the network has no heads; choose a placement with some")
    return tuple(exits)
