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
from manyexits.models import losses
from manyexits.models.cost import Costs
from manyexits.models.measure import measure
from manyexits.models.methods import Memory, Now
from manyexits.models.network import MultiExit
from manyexits.study.recipe import Recipe
from manyexits.study.regimes import PHASES, frozen, learning_exits
from manyexits.training.lessons import Lessons
from manyexits.training.optimiser import learning_rate, optimiser
from manyexits.training.ranks import average_gradients, join_norms
from manyexits.training.stopping import Stopping


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
        self.name, self.recipe, self.kind = told.name, told.recipe, PHASES[told.name]
        self.network, self.views, self.accelerator = network, views, accelerator
        self.task = task.of(views.data.task)
        self.exits = learning_exits(self.name, network.n_exits)
        self.costs = tuple(costs.exits[exit_ - 1] / costs.backbone for exit_ in self.exits)
        ranks = (accelerator.process_index, accelerator.num_processes)
        self.feed = Feed(views, self.recipe, (seed, self.kind.number, index), *ranks)

        network.to(accelerator.device)
        network.freeze(frozen(self.name))
        self.part_norms = join_norms(network, accelerator.device, twice=network.method.teaching is not None)
        self.learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        if not self.learned:
            groups = " and ".join(self.kind.groups)
            raise ValueError(f"phase {self.name} has nothing to learn: the network's {groups} hold no parameters")
        accelerator.gradient_accumulation_steps = self.recipe.accumulation
        self.optimizer = accelerator.prepare(optimiser(self.recipe, self.learned))
        self.stopping = Stopping(self.recipe.patience, self.recipe.epochs, [exit_ - 1 for exit_ in self.exits])
        self.best: dict[str, Tensor] = {}
        self.sums = torch.zeros(len(self.exits), dtype=torch.float64, device=accelerator.device)
        self.flops_per_sample = costs.training(self.kind.groups, self.exits, self.kind.answers)
        self.flops_of_lesson = costs.lesson(self.kind.groups, self.exits)
        self.flops_once = 0
        if (features := self.fixed_features()) is not None:
            self.feed.keep(features)
            self.flops_per_sample -= costs.up_to(self.exits)
            self.flops_of_lesson -= 2 * costs.up_to(self.exits)
            self.flops_once = len(views.data.train) * costs.up_to(self.exits)
        teaching = network.method.teaching if len(self.exits) > 1 and not self.kind.answers else None
        self.lessons = Lessons(self, teaching, seed) if teaching else None

    @torch.no_grad()
    def fixed_features(self) -> list[State] | None:
        """What the exits read of all training samples, where neither backbone nor samples change and it fits."""
        if "backbone" in self.kind.groups or self.feed.changes:
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
        self.rate = learning_rate(self.recipe, (epoch - 1) * self.feed.steps + step, self.feed.steps)
        now = Now(epoch, self.exits, self.costs, self.network.n_exits)
        if self.lessons:
            (whole,) = slices
            self.lessons.learn(whole, epoch, step)
        for part in slices:
            torch.manual_seed(part.seed)
            with self.accelerator.accumulate(self.network):
                with self.accelerator.autocast():
                    outputs, memory = self.outputs(part)
                terms = self.terms(outputs, part)
                by_sample = torch.stack([each.sum(1) for each in terms], dim=1)
                if self.lessons:
                    by_sample = self.lessons.weigh(by_sample)
                self.accelerator.backward(self.network.method.loss(by_sample, memory, now))
                if self.accelerator.sync_gradients:
                    average_gradients(self.learned)
                    if self.recipe.clip:
                        self.accelerator.clip_grad_norm_(self.learned, self.recipe.clip)
                self.optimizer.step()
                self.optimizer.zero_grad()
            self.sums += torch.stack([each.detach().sum() / len(each) for each in terms]) / self.recipe.accumulation

    def flops(self, epoch: int, step: int) -> int:
        """FLOPs of one step for the effective batch."""
        lesson = self.flops_of_lesson if self.lessons and self.lessons.due(epoch, step) else 0
        return self.recipe.batch * (self.flops_per_sample + lesson)

    def outputs(self, part: Part) -> tuple[list[Float[Tensor, "p o"]], Memory]:
        """Outputs of the learning exits for a slice, and the memory behind the last of them."""
        return self.network.fold(self.read(part), self.exits, self.kind.answers)

    def terms(self, outputs: list[Float[Tensor, "p o"]], part: Part) -> list[Float[Tensor, "p o"]]:
        """What each output adds to the loss of its sample and exit."""
        smoothing = self.recipe.label_smoothing
        return [losses.terms(self.task, each.float(), part.targets, smoothing) for each in outputs]

    def read(self, part: Part) -> list[State]:
        """What the learning exits read of a slice."""
        if part.features is not None:
            return part.features
        assert part.inputs is not None
        return self.network.features(part.inputs, self.exits)

    @property
    def rate(self) -> float:
        """Learning rate of the last step."""
        return self.optimizer.param_groups[0]["lr"]

    @rate.setter
    def rate(self, value: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = value

    # -- one epoch ----------------------------------------------------------------------------------------------------

    def check_finite(self, epoch: int) -> None:
        """Refuse to go on, or to save, once a loss or a weight is no number.

        Raises:
            ValueError: with epoch, phase and learning rate.
        """
        lost = torch.stack([~torch.isfinite(values).all() for values in (self.sums, *self.learned)]).sum()
        if self.accelerator.reduce(lost, reduction="sum") > 0:
            raise ValueError(
                f"the loss is no longer a number in phase {self.name}, epoch {epoch}, at learning rate {self.rate:.3g};"
                " lower lr or set clip in the recipe; the last good checkpoint stays"
            )

    def train_losses(self) -> list[float]:
        """Mean training loss of the learning exits over the steps of the epoch, over all ranks."""
        return (self.accelerator.reduce(self.sums.clone(), reduction="mean") / self.feed.steps).tolist()

    def validate(self) -> dict[str, list[float]]:
        """Loss and gain of every exit on the validation split, with evaluation transforms. The ranks share it."""
        ranks = (self.accelerator.process_index, self.accelerator.num_processes)
        split = self.views.data.validation
        self.network.eval()
        with self.accelerator.autocast():
            loss, gain, _ = measure(self.network, self.views, split, *ranks, answered=self.kind.answers)
        self.network.train()
        total = self.accelerator.reduce(torch.stack([loss, gain]), reduction="sum") / len(split)
        return {"loss": total[0].tolist(), self.task.gained: total[1].tolist()}

    def remember(self) -> None:
        """Keep the weights of the last improving check."""
        self.best = {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}

    # -- between attempts ---------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Restore the best weights and let go of the joined BatchNorms and the optimiser."""
        self.accelerator.free_memory()
        self.part_norms()
        self.network.load_state_dict(self.best)

    def state(self) -> dict[str, Any]:
        """All that a resume inside the phase needs."""
        return {
            "network": self.network.state_dict(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler_state(),
            "stopping": self.stopping.state(),
            "sums": self.sums,
            "lessons": self.lessons.state() if self.lessons else None,
        }

    def scaler_state(self) -> dict[str, Any] | None:
        """Of the gradients' scaling under fp16."""
        return self.accelerator.scaler.state_dict() if self.accelerator.scaler else None

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up a saved state; a checkpoint between two phases has nothing of it but the scaler's, which lives on."""
        if self.accelerator.scaler and saved.get("scaler"):  # older checkpoints between phases have none
            self.accelerator.scaler.load_state_dict(saved["scaler"])
        if "optimizer" not in saved:
            return
        self.best = saved["best"]
        self.optimizer.load_state_dict(saved["optimizer"])
        self.stopping.load(saved["stopping"])
        self.sums += saved["sums"].to(self.sums.device)
        if self.lessons:
            self.lessons.load(saved["lessons"])


def _joined(states: tuple[State, ...]) -> State:
    """Slices of a state as one."""
    tensors = tuple(torch.cat(slices) for slices in zip(*map(parts, states), strict=True))
    return tensors if isinstance(states[0], tuple) else tensors[0]
