"""One phase of training: what learns, with which optimiser, and its step."""

from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor

from manyexits.batches.feed import Feed
from manyexits.batches.state import State, parts
from manyexits.batches.views import EVALUATION_BATCH, Part, Views
from manyexits.exits import task
from manyexits.models import device, losses
from manyexits.models.cost import Costs
from manyexits.models.measure import measure
from manyexits.models.methods import Now
from manyexits.models.network import MultiExit
from manyexits.study.recipe import Recipe
from manyexits.study.regimes import frozen, learning_exits, number, turns
from manyexits.training.lessons import lessons_of
from manyexits.training.optimiser import learning_rate
from manyexits.training.ranks import average_gradients, join_norms
from manyexits.training.stopping import Stopping
from manyexits.training.turn import Turn


@dataclass(frozen=True)
class Told:
    """What a phase is told: its name, and the recipe that it follows."""

    name: str
    recipe: Recipe


class Phase:
    """One phase under way."""

    def __init__(
        self,
        network: MultiExit,
        costs: Costs,
        told: Told,
        counter: tuple[int, int],
        views: Views,
        accelerator: Accelerator,
    ) -> None:
        """Freeze what does not learn, and make the optimiser of what does.

        Args:
            network: on the device from now on.
            costs: the network's.
            told: name and recipe.
            counter: the run's seed, and the phase's place in the run.
            views: of the dataset.
            accelerator: device, precision and ranks.

        Raises:
            ValueError: when there is nothing to learn, or less data than a batch.
        """
        seed, index = counter
        self.name, self.recipe = told.name, told.recipe
        self.network, self.views, self.accelerator = network, views, accelerator
        self.task = task.of(views.data.task)
        self.exits = learning_exits(self.name, network.n_exits)
        ranks = (accelerator.process_index, accelerator.num_processes)
        self.feed = Feed(views, self.recipe, (seed, number(self.name), index), *ranks)

        network.to(accelerator.device)
        self.turns = [Turn(name, network, costs, self.recipe, accelerator) for name in turns(self.name)]
        if self.feed.steps < len(self.turns):
            raise ValueError(
                f"an epoch of phase {self.name} has {self.feed.steps} batch of {self.recipe.batch}, fewer than phases"
                " that take turns; lower the recipe's batch"
            )
        network.freeze(frozen(self.name))
        self.part_norms = join_norms(network, accelerator.device, twice=network.method.teaching is not None)
        accelerator.gradient_accumulation_steps = self.recipe.accumulation
        self.stopping = Stopping(self.recipe.patience, self.recipe.epochs, [exit_ - 1 for exit_ in self.exits])
        self.best: dict[str, Tensor] = {}
        self.sums = torch.zeros(len(self.exits), dtype=torch.float64, device=accelerator.device)
        self.flops_once = 0
        if (features := self.fixed_features()) is not None:
            self.feed.keep(features)
            self.flops_once = len(views.data.train) * self.turns[0].keep_features(costs)
        for turn in self.turns:
            turn.lessons = lessons_of(self, turn, seed)

    @torch.no_grad()
    def fixed_features(self) -> list[State] | None:
        """What the exits read of all training samples, where neither backbone nor samples change and it fits."""
        if len(self.turns) > 1 or "backbone" not in self.turns[0].frozen or self.feed.changes:
            return None
        found: list[list[State]] = []
        split = self.views.data.train
        slices = -(-len(split) // EVALUATION_BATCH)
        for part in self.views.whole(split):
            assert part.inputs is not None
            found.append(self.network.features(part.inputs, self.exits))
            if sum(each.nbytes for state in found[0] for each in parts(state)) * slices > self.recipe.cache_gib * 2**30:
                return None
        return [_joined(states) for states in zip(*found, strict=True)]

    # -- one step -----------------------------------------------------------------------------------------------------

    def step(self, slices: list[Part], epoch: int, step: int) -> None:
        """One optimiser step on this rank's slices of one effective batch."""
        self.rate = learning_rate(self.recipe, self.taken(epoch, step), self.feed.steps)
        turn = self.turn(epoch, step)
        if len(self.turns) > 1:
            self.network.freeze(turn.frozen)
        if turn.lessons:
            (whole,) = slices
            turn.lessons.learn(whole, epoch, step)
        now = Now(epoch, turn.exits, turn.costs, self.network.n_exits)
        own = [self.exits.index(exit_) for exit_ in turn.exits]
        for part in slices:
            device.seed(part.seed, self.accelerator.device)
            with self.accelerator.accumulate(self.network):
                with self.accelerator.autocast():
                    outputs, memory = turn.outputs(part)
                terms = self.terms(outputs, part)
                by_sample = torch.stack([each.sum(1) for each in terms], dim=1)
                if turn.lessons:
                    by_sample = turn.lessons.weigh(by_sample)
                self.accelerator.backward(self.network.method.loss(by_sample, memory, now))
                if self.accelerator.sync_gradients:
                    average_gradients(turn.learned)
                    if self.recipe.clip:
                        self.accelerator.clip_grad_norm_(turn.learned, self.recipe.clip)
                turn.optimizer.step()
                turn.optimizer.zero_grad()
            means = torch.stack([each.detach().sum() / len(each) for each in terms])
            self.sums[own] += means / self.recipe.accumulation

    def taken(self, epoch: int, step: int) -> int:
        """Steps of the phase before this one."""
        return (epoch - 1) * self.feed.steps + step

    def turn(self, epoch: int, step: int) -> Turn:
        """Whose turn a step is."""
        return self.turns[self.taken(epoch, step) % len(self.turns)]

    def flops(self, epoch: int, step: int) -> int:
        """FLOPs of one step for the effective batch."""
        turn = self.turn(epoch, step)
        lesson = turn.flops_of_lesson if turn.lessons and turn.lessons.due(epoch, step) else 0
        return self.recipe.batch * (turn.flops_per_sample + lesson)

    def terms(self, outputs: list[Float[Tensor, "p o"]], part: Part) -> list[Float[Tensor, "p o"]]:
        """What each output adds to the loss of its sample and exit."""
        smoothing = self.recipe.label_smoothing
        return [losses.terms(self.task, each.float(), part.targets, smoothing) for each in outputs]

    @property
    def rate(self) -> float:
        """Learning rate of the last step."""
        return self.turns[0].optimizer.param_groups[0]["lr"]

    @rate.setter
    def rate(self, value: float) -> None:
        for group in (group for turn in self.turns for group in turn.optimizer.param_groups):
            group["lr"] = value

    # -- one epoch ----------------------------------------------------------------------------------------------------

    def check_finite(self, epoch: int) -> None:
        """Refuse to go on, or to save, once a loss or a weight is no number.

        Raises:
            ValueError: with epoch, phase and learning rate.
        """
        learned = (parameter for turn in self.turns for parameter in turn.learned)
        lost = torch.stack([~torch.isfinite(values).all() for values in (self.sums, *learned)]).sum()
        if self.accelerator.reduce(lost, reduction="sum") > 0:
            raise ValueError(
                f"the loss is no longer a number in phase {self.name}, epoch {epoch}, at learning rate {self.rate:.3g};"
                " lower lr or set clip in the recipe; the last good checkpoint stays"
            )

    def train_losses(self, epoch: int) -> list[float]:
        """Mean training loss of each learning exit over its steps of the epoch, over all ranks."""
        taken = [self.turn(epoch, step).exits for step in range(self.feed.steps)]
        steps = torch.tensor([sum(exit_ in exits for exits in taken) for exit_ in self.exits])
        return (self.accelerator.reduce(self.sums.clone(), reduction="mean") / steps.to(self.sums)).tolist()

    def validate(self) -> dict[str, list[float]]:
        """Loss and gain of every exit on the validation split, with evaluation transforms. The ranks share it."""
        ranks = (self.accelerator.process_index, self.accelerator.num_processes)
        split = self.views.data.validation
        self.network.eval()
        with self.accelerator.autocast():
            loss, gain, _ = measure(self.network, self.views, split, *ranks, answered=self.turns[0].kind.answers)
        self.network.train()
        total = self.accelerator.reduce(torch.stack([loss, gain]), reduction="sum") / len(split)
        return {"loss": total[0].tolist(), self.task.gained: total[1].tolist()}

    def remember(self) -> None:
        """Keep the weights of the last improving check."""
        self.best = {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}

    # -- between attempts ---------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Restore the best weights and let go of the joined BatchNorms."""
        self.part_norms()
        self.network.load_state_dict(self.best)

    def state(self) -> dict[str, Any]:
        """All that a resume inside the phase needs."""
        return {
            "network": self.network.state_dict(),
            "best": self.best,
            "optimizers": [turn.optimizer.state_dict() for turn in self.turns],
            "scaler": self.scaler_state(),
            "stopping": self.stopping.state(),
            "sums": self.sums,
            "lessons": [turn.lessons.state() if turn.lessons else None for turn in self.turns],
        }

    def scaler_state(self) -> dict[str, Any] | None:
        """Of the gradients' scaling under fp16."""
        return self.accelerator.scaler.state_dict() if self.accelerator.scaler else None

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up a saved state; a checkpoint between two phases has nothing of it but the scaler's, which lives on."""
        if self.accelerator.scaler and saved.get("scaler"):  # older checkpoints between phases have none
            self.accelerator.scaler.load_state_dict(saved["scaler"])
        if "best" not in saved:
            return
        self.best = saved["best"]
        self.stopping.load(saved["stopping"])
        self.sums += saved["sums"].to(self.sums.device)
        optimizers = saved["optimizers"] if "optimizers" in saved else [saved["optimizer"]]  # an older checkpoint's
        for turn, state in zip(self.turns, optimizers, strict=True):
            turn.optimizer.load_state_dict(state)
        for turn, state in zip(self.turns, saved.get("lessons", ()), strict=False):
            if turn.lessons:
                turn.lessons.load(state)


def _joined(states: tuple[State, ...]) -> State:
    """Slices of a state as one."""
    tensors = tuple(torch.cat(slices) for slices in zip(*map(parts, states), strict=True))
    return tensors if isinstance(states[0], tuple) else tensors[0]
