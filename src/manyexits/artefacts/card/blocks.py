"""What a card consists of, whatever it is written as."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Link:
    """A link to an anchor of the card, or to a file by its path relative to the card."""

    text: str
    href: str


Cell = str | Sequence[Link]


@dataclass(frozen=True)
class Grid:
    """Cells under headings; a cell is text, or links."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Code:
    """Lines whose spaces count; folded away under `summary` where that is given."""

    text: str
    summary: str = ""
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Section:
    """A piece of evidence, to be linked by its anchor."""

    anchor: str
    title: str
    blocks: Sequence[Grid | Text | Code]


@dataclass(frozen=True)
class Answer:
    """One of the nine variables."""

    variable: str
    paper: str
    """What the paper was rated, with its origin."""
    detail: str
    """What this study provides if nothing is missing."""
    evidence: Sequence[Link]
    problems: Sequence[str] = field(default_factory=list)
    """What is missing or wrong, each with its remedy; one is enough for a No."""

    @property
    def answer(self) -> str:
        """Whether this study provides it, all of it."""
        return "No" if self.problems else "Yes"
