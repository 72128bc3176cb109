"""Phases as data. A regime is a list of phases (config.yaml); a phase is the parameter groups that it trains, and the
exits whose loss it minimises (the paper's Equations 1 to 3)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PhaseKind:
    """What one kind of phase does."""

    number: int
    """Enters the draws of a training: it never changes, whatever phases come beside it."""
    groups: tuple[str, ...]
    """Parameter groups that learn; all others are frozen, BatchNorm's buffers included."""
    exits: slice
    """Which of the exits 1 to K have a loss."""
    answers: bool = False
    """Whether the loss is that of the method's answers, instead of the exits' own outputs."""


PHASES = {
    "backbone": PhaseKind(1, ("backbone",), slice(-1, None)),
    "all": PhaseKind(0, ("backbone", "heads", "extras"), slice(None)),
    "heads": PhaseKind(2, ("heads", "extras"), slice(-1)),
    "ensemble": PhaseKind(3, ("extras",), slice(-1), answers=True),
}
OWN_PHASES = ("ensemble",)
"""Phases that a method may append to every regime; regimes themselves consist of the others."""
GROUPS = PHASES["all"].groups
"""All parameter groups of a network."""


def frozen(phase: str) -> set[str]:
    """Parameter groups that a phase leaves alone."""
    return set(GROUPS) - set(PHASES[phase].groups)


def learning_exits(phase: str, n_exits: int) -> tuple[int, ...]:
    """Exits (from 1) that can learn in a phase: the last, all, or all but the last.

    Raises:
        ValueError: when there is none.
    """
    exits = tuple(range(1, n_exits + 1))[PHASES[phase].exits]
    if not exits:
        raise ValueError(f"phase {phase} has nothing to learn: the network has no heads; choose a placement with some")
    return exits
