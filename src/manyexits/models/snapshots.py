"""Weights on the way of a training, several in one file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from manyexits.files import atomic, made
from manyexits.files.made import Made
from manyexits.files.reading import tensors
from manyexits.models.network import MultiExit, listed
from manyexits.study.regimes import PHASES, learning_exits, turns

AGAIN = "remove the run's files and train it again"


@dataclass(frozen=True, order=True)
class Moment:
    """When weights were taken."""

    place: int
    """Of the phase among those of the job, from 0."""
    phase: str
    epoch: int
    """Of the phase: 0 before its first step, else after that epoch."""

    def exits(self, n_exits: int) -> list[tuple[int, ...]]:
        """Exits whose own outputs learn, for each of the phases that take turns; of most phases one."""
        return [learning_exits(each, n_exits) for each in turns(self.phase) if not PHASES[each].answers]

    def __str__(self) -> str:
        return f"{self.place}.{self.phase}.{self.epoch}"


States = dict[Moment, dict[str, Tensor]]


def write(path: Path, states: States, by: Made) -> None:
    """Write parameters and buffers at every moment as one safetensors file."""
    flat = {f"{moment}:{name}": value for moment, state in states.items() for name, value in state.items()}
    atomic.write(path, lambda file: file.write(save(flat, made.metadata(by))))


def read(path: Path) -> tuple[States, Made | None]:
    """Read what `write` wrote, in the order of the training, and what made it.

    Raises:
        ValueError: when the file is damaged.
    """
    flat, about = tensors(path, "pt", AGAIN)
    states: States = {}
    for name, value in flat.items():
        when, _, parameter = name.partition(":")
        states.setdefault(_moment(path, when), {})[parameter] = value
    return dict(sorted(states.items())), made.found(path, about)


def _moment(path: Path, text: str) -> Moment:
    place, _, rest = text.partition(".")
    phase, _, epoch = rest.rpartition(".")
    if not (place.isdecimal() and epoch.isdecimal() and all(each in PHASES for each in turns(phase))):
        raise ValueError(f"{path} holds weights of {text!a}, which is no moment of a training; {AGAIN}")
    return Moment(int(place), phase, int(epoch))


@dataclass(frozen=True)
class Trail:
    """One run's network on its way."""

    model: MultiExit
    states: States
    path: Path
    """Where they were read."""
    costs: tuple[float, ...]
    """Of every exit, as shares of the backbone's."""

    def __iter__(self) -> Iterator[tuple[Moment, MultiExit]]:
        """The network at every moment: one and the same, its weights exchanged.

        Raises:
            ValueError: when they are of another network.
        """
        own = self.model.state_dict()
        for moment, state in self.states.items():
            wrong = sorted({*own} ^ {*state}) or [
                name for name in own if own[name].shape != state[name].shape or own[name].dtype != state[name].dtype
            ]
            if wrong:
                raise ValueError(
                    f"the weights {self.path} belong to another network: {listed(wrong)} do not fit; {AGAIN}"
                )
            self.model.load_state_dict(state)
            yield moment, self.model


def taken(network: MultiExit) -> dict[str, Tensor]:
    """A copy of a network's parameters and buffers."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in network.state_dict().items()}
