"""Phases as data. A regime is a list of phases (config.yaml); a phase is the parameter groups that it trains, and the
exits whose loss it minimises (the paper's Equations 1 to 3). In an alternation, `backbone+heads`, two or more of them
take the steps of one phase in turns."""

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
OF_REGIMES = tuple(phase for phase in PHASES if phase not in OWN_PHASES)
"""Phases that regimes consist of, alone or in turns."""
GROUPS = PHASES["all"].groups
"""All parameter groups of a network."""
IN_TURNS = "+"
"""Between the phases of an alternation."""


def turns(phase: str) -> list[str]:
    """The phases that take the steps in turns; of most phases it alone."""
    return phase.split(IN_TURNS)


def check(phase: str) -> str:
    """A phase of a regime, as it is.

    Raises:
        ValueError: when there is no such phase, or an alternation has one phase more than once.
    """
    members = turns(phase)
    if unknown := [each for each in members if each not in OF_REGIMES]:
        raise ValueError(
            f"there is no phase {unknown[0]!r}; valid names: {', '.join(OF_REGIMES)}, and some of them in turns, as in"
            " backbone+heads"
        )
    if len(set(members)) < len(members):
        raise ValueError(f"the phases of an alternation differ, as in backbone+heads; {phase!r} has one twice")
    return phase


def number(phase: str) -> int:
    """What enters the draws of a phase; of an alternation a number that no phase and no other alternation has."""
    members = [PHASES[each].number for each in turns(phase)]
    if len(members) == 1:
        return members[0]
    found = 0
    for each in members:
        found = found * 16 + each + 1
    return found


def groups(phase: str) -> tuple[str, ...]:
    """Parameter groups that learn in a phase."""
    return tuple(group for group in GROUPS if any(group in PHASES[each].groups for each in turns(phase)))


def frozen(phase: str) -> set[str]:
    """Parameter groups that a phase leaves alone."""
    return set(GROUPS) - set(groups(phase))


def learning_exits(phase: str, n_exits: int) -> tuple[int, ...]:
    """Exits (from 1) that can learn in a phase: the last, all, or all but the last.

    Raises:
        ValueError: when there is none.
    """
    every = tuple(range(1, n_exits + 1))
    if lacking := [each for each in turns(phase) if not every[PHASES[each].exits]]:
        raise ValueError(
            f"phase {lacking[0]} has nothing to learn: the network has no heads; choose a placement with some"
        )
    return tuple(sorted({exit_ for each in turns(phase) for exit_ in every[PHASES[each].exits]}))
