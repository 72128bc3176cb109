"""First contact: what is here, what is missing, and which tables and figures could be built. It only looks.

`environment` needs nothing but Python, so that it can name the packages that are missing; `inventory` asks the study.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

State = Literal["ok", "note", "missing"]
"""Fine; worth knowing; without it something cannot be built."""
DATA = "Data"
"""Title of the section whose gaps count only where a table or figure needs what is missing."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    state: State
    what: str
    says: str


@dataclass(frozen=True)
class Gpu:
    """One card as trainings would see it."""

    name: str
    memory_gib: float
    bf16: bool
    """Whether it computes in bfloat16 by itself."""


@dataclass(frozen=True)
class Target:
    """A table or figure: how much of it is there, and what stands in its way."""

    kind: str
    """`tables` or `figures`."""
    name: str
    done: int
    """Trainings whose outputs are there, made with the settings of today."""
    total: int
    hours: float
    """Time limits of the others, added up."""
    lacks: tuple[str, ...]
    """What is missing here, one phrase each; empty: it could be built."""


@dataclass(frozen=True)
class Report:
    """Everything that was found."""

    sections: dict[str, list[Finding]]
    targets: list[Target] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether everything is there that the default targets need."""
        findings = [finding for title, section in self.sections.items() if title != DATA for finding in section]
        return not any(finding.state == "missing" for finding in findings) and not any(t.lacks for t in self.targets)


def examine(overlays: list[Path]) -> Report:
    """Look at this machine, and at what the study needs of it.

    Args:
        overlays: files that add to config.yaml.

    Raises:
        ValueError: for a configuration that is not valid.
    """
    from manyexits.commands.doctor import environment

    lock = Path("envs/requirements.txt")
    found = {"Environment": [environment.python(), environment.packages(lock), *environment.commands()]}
    try:
        from manyexits.commands.doctor import inventory

        return inventory.examine(overlays, found, environment.gpus())
    except (ModuleNotFoundError, ValueError) as error:
        lacking = error if isinstance(error, ModuleNotFoundError) else error.__cause__  # a component's is told as such
        if not isinstance(lacking, ModuleNotFoundError):
            raise
        package = str(lacking.name).partition(".")[0]
        unread = Finding("missing", "study", f"cannot be read without the package {package}; install the packages")
        return Report({"Environment": [*found["Environment"], unread]})
