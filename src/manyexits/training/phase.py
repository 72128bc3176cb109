"""One phase of training: what learns, with which optimiser, on which images, and how far it has come."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from manyexits.batches import augment, moves
from manyexits.batches.draws import Plan
from manyexits.data.images import Batch
from manyexits.data.prepared import Prepared
from manyexits.models.cost import Costs
from manyexits.models.measure import EVALUATION_BATCH, measure
from manyexits.models.network import MultiExit
from manyexits.study.regimes import GROUPS, frozen, learning_exits
from manyexits.training.ranks import average_gradients, join_norms
from manyexits.training.stopping import Stopping

ORDER, STEP = 0, 1
"""What a counter is for."""

Loss = Callable[[Float[Tensor, " e"]], Float[Tensor, ""]]


class Phase:
    """One phase under way: what learns, with which optimiser, on which numbers."""

    def __init__(
        self,
        network: MultiExit,
        loss: Loss,
        costs: Costs,
        settings: dict[str, Any],
        index: int,
        data: Prepared,
        accelerator: Accelerator,
    ) -> None:
        self.name = settings["phases"][index]["phase"]
        self.recipe = settings["phases"][index]["recipe"]
        self.network, self.loss, self.data, self.accelerator = network, loss, data, accelerator
        self.counter = (settings["seed"], sorted(GROUPS).index(self.name), index)
        self.exits = learning_exits(self.name, network.n_exits)
        self.batch: int = self.recipe["batch"]
        self.steps = len(data.train) // self.batch
        if self.steps == 0:
            raise ValueError(
                f"batch {self.batch} is larger than the {len(data.train)} training images; choose a smaller one"
            )
        self.per_device = self.recipe["per_device_batch"] or self.batch // self.recipe["devices"]
        self.accumulation = self.batch // (self.recipe["devices"] * self.per_device)

        network.to(accelerator.device)
        network.freeze(frozen(self.name))
        self.part_norms = join_norms(network, accelerator.device)
        self.learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        accelerator.gradient_accumulation_steps = self.accumulation
        self.model = accelerator.prepare_model(network, evaluation_mode=True)  # precision alone: see average_gradients
        self.optimizer = accelerator.prepare(_optimizer(self.recipe, self.learned))
        self.stopping = Stopping(self.recipe["patience"], self.recipe["epochs"], [exit_ - 1 for exit_ in self.exits])
        self.best: dict[str, Tensor] = {}
        self.sums = torch.zeros(len(self.exits), dtype=torch.float64, device=accelerator.device)
        self.mean = torch.from_numpy(data.mean).to(accelerator.device)
        self.std = torch.from_numpy(data.std).to(accelerator.device)
        self.features = self.fixed_features()
        self.flops_per_sample = costs.training(GROUPS[self.name], self.exits)
        self.flops_once = 0
        if self.features is not None:
            self.flops_per_sample -= costs.up_to(self.exits)
            self.flops_once = len(data.train) * costs.up_to(self.exits)

    @torch.no_grad()
    def fixed_features(self) -> list[Tensor] | None:
        """What the heads read, for all training images, where neither backbone nor images change and it fits."""
        if "backbone" in GROUPS[self.name] or augment.is_random(self.recipe):
            return None
        batches = -(-len(self.data.train) // EVALUATION_BATCH)
        parts: list[list[Tensor]] = []
        for raw, _ in self.data.train.batches(EVALUATION_BATCH):
            images = augment.normalise(torch.from_numpy(raw).to(self.mean.device), self.mean, self.std)
            parts.append(self.network.features(images, self.exits))
            if sum(part.nbytes for part in parts[0]) * batches > self.recipe["cache_gib"] * 2**30:
                return None
        return [torch.cat(tapped) for tapped in zip(*parts, strict=True)]

    def order(self, epoch: int) -> Int[np.ndarray, " n"]:
        """Order of the training images in an epoch."""
        return np.random.default_rng([ORDER, *self.counter, epoch]).permutation(len(self.data.train))

    def plan(self, order: Int[np.ndarray, " n"], epoch: int, step: int) -> Plan:
        """All random numbers of one step, for the whole effective batch."""
        generator = np.random.default_rng([STEP, *self.counter, epoch, step])
        height, width, _ = self.data.shape
        chosen = order[step * self.batch : (step + 1) * self.batch]
        part = self.recipe["resized_crop"]
        return Plan(
            step=step,
            chosen=chosen,
            boxes=augment.draw_boxes(part, generator, self.data.train.sizes(chosen)) if part else None,
            draws=augment.draw(self.recipe, generator, self.batch, (height, width)),
            mix=augment.draw_mix(self.recipe, generator, self.batch, (height, width)),
            seed=int(generator.integers(2**62)),
        )

    def steps_of(self, epoch: int, begin: int) -> Iterator[tuple[Plan, list[Batch]]]:
        """The plans of an epoch from a step on, each with the images of this rank's slices, which are read ahead."""
        order = self.order(epoch)
        plans, again = itertools.tee(self.plan(order, epoch, step) for step in range(begin, self.steps))
        wanted = (plan.request(self.positions(number)) for plan in plans for number in self.slices)
        batches = self.data.train.read(wanted) if self.features is None else None
        for plan in again:
            yield plan, [next(batches) for _ in self.slices] if batches else []

    def step(self, plan: Plan, batches: list[Batch], epoch: int) -> None:
        """One optimiser step on one effective batch, of which this rank takes its slices."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, (epoch - 1) * self.steps + plan.step, self.steps)
        for place, number in enumerate(self.slices):
            torch.manual_seed(plan.seed + number)
            batch = batches[place] if batches else None
            images, features, targets = self.inputs(plan, batch, self.positions(number))
            with self.accelerator.accumulate(self.model):
                logits = self.model(images, self.exits, features)
                smoothing = self.recipe["label_smoothing"]
                losses = [functional.cross_entropy(each.float(), targets, label_smoothing=smoothing) for each in logits]
                self.accelerator.backward(self.loss(torch.stack(losses)))
                if self.accelerator.sync_gradients:
                    average_gradients(self.learned)
                    if self.recipe["clip"]:
                        self.accelerator.clip_grad_norm_(self.learned, self.recipe["clip"])
                self.optimizer.step()
                self.optimizer.zero_grad()
            self.sums += torch.stack(losses).detach() / self.accumulation

    @property
    def slices(self) -> range:
        """Slices of the effective batch that this rank works on, one a pass.

        Neighbouring slices go to the ranks of one pass, so that a pass holds what it would if one process ran it.
        """
        rank, count = self.accelerator.process_index, self.accelerator.num_processes
        return range(rank, count * self.accumulation, count)

    def positions(self, number: int) -> Int[np.ndarray, " p"]:
        """Positions in the effective batch of a slice."""
        return np.arange(number * self.per_device, (number + 1) * self.per_device)

    def inputs(
        self, plan: Plan, batch: Batch | None, positions: Int[np.ndarray, " p"]
    ) -> tuple[Tensor | None, list[Tensor] | None, Float[Tensor, "p c"]]:
        """Images or fixed features, and soft targets. A partner outside the slice is augmented here once more."""
        device = self.accelerator.device
        if batch is None:
            assert self.features is not None
            chosen = torch.from_numpy(plan.chosen[positions]).to(device)
            labels = self.data.train.labels[self.data.train.indices[plan.chosen[positions]]]
            return None, [tapped[chosen] for tapped in self.features], self.one_hot(labels)
        raw, labels = batch
        needed, views = plan.needed(positions), torch.from_numpy(raw).to(device)
        if plan.boxes is not None and not self.data.train.decoded:
            views = moves.cut(views, plan.boxes[needed])
        images = augment.apply(views, plan.draws.at(needed), self.recipe["crop_padding"], self.mean, self.std)
        targets = self.one_hot(labels)
        if plan.mix is None:
            return images, None, targets
        own = torch.from_numpy(np.searchsorted(needed, positions)).to(device)
        other = torch.from_numpy(np.searchsorted(needed, self.batch - 1 - positions)).to(device)
        mix = plan.mix.at(positions)
        share = torch.from_numpy(mix.share).to(device, torch.float32)[:, None]
        mixed = augment.mix(images[own], images[other], mix)
        return mixed, None, share * targets[own] + (1 - share) * targets[other]

    def one_hot(self, labels: Int[np.ndarray, " p"]) -> Float[Tensor, "p c"]:
        """Labels as targets."""
        classes = len(self.data.manifest["class_names"])
        return functional.one_hot(torch.from_numpy(labels).to(self.accelerator.device), classes).float()

    def check_finite(self, epoch: int) -> None:
        """Refuse to go on, or to save, once a loss or a weight is no number.

        Raises:
            ValueError: with epoch, phase and learning rate.
        """
        lost = torch.stack([~torch.isfinite(values).all() for values in (self.sums, *self.learned)]).sum()
        if self.accelerator.reduce(lost, reduction="sum") > 0:
            rate = self.optimizer.param_groups[0]["lr"]
            raise ValueError(
                f"the loss is no longer a number in phase {self.name}, epoch {epoch}, at learning rate {rate:.3g};"
                " lower lr or set clip in the recipe; the last good checkpoint stays"
            )

    def validate(self) -> dict[str, list[float]]:
        """Loss and accuracy of every exit on the validation split, with evaluation transforms. The ranks share it."""
        rank, count = self.accelerator.process_index, self.accelerator.num_processes
        self.network.eval()
        loss, right, _ = measure(self.network, self.data.validation, self.mean, self.std, rank, count)
        self.network.train()
        total = self.accelerator.reduce(torch.stack([loss, right]), reduction="sum") / len(self.data.validation)
        return {"loss": total[0].tolist(), "accuracy": total[1].tolist()}

    def rows(self, spent: dict[str, int], scores: dict[str, list[float]]) -> list[dict[str, Any]]:
        """The epoch's rows of the history, one for each exit; `spent` is epoch, samples and flops."""
        sums = self.accelerator.reduce(self.sums.clone(), reduction="mean") / self.steps
        train = dict(zip(self.exits, sums.tolist(), strict=True))
        common = {"phase": self.name, **spent, "lr": self.optimizer.param_groups[0]["lr"]}
        pairs = zip(scores["loss"], scores["accuracy"], strict=True)
        return [
            {**common, "exit": k, "train_loss": train.get(k), "loss": loss, "accuracy": accuracy}
            for k, (loss, accuracy) in enumerate(pairs, start=1)
        ]

    def remember(self) -> None:
        """Keep the weights of the last improving check."""
        self.best = {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}

    def finish(self) -> None:
        """Restore the best weights and let go of the wrapping, the joined BatchNorms and the optimiser."""
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
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


def learning_rate(recipe: dict[str, Any], step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step of a phase, counted from 0 over the recipe's epoch limit."""
    if recipe["schedule"] == "constant":
        return recipe["lr"]
    share = 0.5 * (1 + math.cos(math.pi * step / (recipe["epochs"] * steps_per_epoch)))
    return recipe["lr_min"] + (recipe["lr"] - recipe["lr_min"]) * share


def _optimizer(recipe: dict[str, Any], parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    if recipe["optimizer"] == "adamw":
        return torch.optim.AdamW(parameters, lr=recipe["lr"], weight_decay=recipe["weight_decay"])
    return torch.optim.SGD(
        parameters, lr=recipe["lr"], momentum=recipe["momentum"], weight_decay=recipe["weight_decay"]
    )
