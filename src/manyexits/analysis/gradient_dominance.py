"""Gradient dominance: which exit's loss moves each stage of the backbone, on the way of a training (our definition;
DEFINITIONS.md, section 9)."""

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from pydantic import Field
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from manyexits.analysis._modes import norms_in_training
from manyexits.batches.views import Part, Views
from manyexits.data.prepared import Prepared
from manyexits.exits import task
from manyexits.models import losses
from manyexits.models.methods import Memory, Now
from manyexits.models.network import MultiExit
from manyexits.models.snapshots import Moment, Trail

READS = "snapshots"
COLUMNS = ("seed", "regime", "place", "phase", "epoch", "stage", "exit", "metric", "value", "weight", "n", "note")
"""place: of the phase among those behind phase 1, from 0. epoch: 0 before its first step. metric: projection_share,
norm_share or cosine of an exit, and dominant_exit of a stage. weight: of the exit's loss in the phase's. n: samples.
note: why there is no value."""
TEXT = ("regime", "phase", "metric", "note")
NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)

Run = tuple[str, int, Trail]


def analyse(
    runs: list[Run],
    data: Prepared,
    *,
    n_probe: Annotated[int, Field(ge=2, le=10**9)] = 2048,
    batch: Annotated[int, Field(ge=2, le=10**6)] = 128,
) -> list[dict[str, Any]]:
    """Shares of every exit in the gradient of every stage, at every snapshot of every run.

    Args:
        runs: regime, seed and snapshots of each.
        data: prepared dataset.
        n_probe: training samples, at most, without augmentation: the same ones for all; a multiple of `batch` where
            there are so many.
        batch: samples whose mean losses are differentiated at a time [O].
    """
    order = np.random.default_rng(0).permutation(len(data.train))
    n = min(n_probe, len(order))
    n -= n % batch if n > batch else 0
    probe = replace(data.train, indices=data.train.indices[order[:n]])
    rows: list[dict[str, Any]] = []
    for regime, seed, trail in runs:
        views = Views(data, next(trail.model.parameters()).device)
        for moment, model in trail:
            about = {"seed": seed, "regime": regime, "n": n}
            about |= {"place": moment.place, "phase": moment.phase, "epoch": moment.epoch}
            rows += [about | row for row in shares(model, *products(model, views, probe, batch, moment, trail.costs))]
    return rows


# -- gradients --------------------------------------------------------------------------------------------------------

Products = tuple[list[Float64[np.ndarray, "k k"]], list[Float64[np.ndarray, " k"]], Float64[np.ndarray, " k"]]
"""Of every stage the inner products of the exits' weighted gradients, summed over batches, and the sums of their norms;
and the weights."""


def products(
    model: MultiExit, views: Views, probe: Any, batch: int, moment: Moment, costs: tuple[float, ...]
) -> Products:
    """What shares are made of, of one network: K backward passes a batch, one forward pass."""
    turns = moment.exits(model.n_exits)
    exits = tuple(sorted({exit_ for each in turns for exit_ in each}))
    stages, k = weights_of(model), model.n_exits
    inner = [np.zeros((k, k)) for _ in stages]
    norms = [np.zeros(k) for _ in stages]
    weights = np.zeros(k)
    model.requires_grad_(False)
    for parameter in (parameter for stage in stages for parameter in stage):
        parameter.requires_grad_(True)
    with norms_in_training(model):
        for part in views.whole(probe, size=batch) if exits else ():
            outputs, memory = _outputs(model, part, exits)
            weights = sum((in_force(model, memory, turn, moment.epoch, costs) for turn in turns), np.zeros(k))
            asked = task.of(views.data.task)
            each = [losses.summed(asked, output.float(), part.targets) / len(part.targets) for output in outputs]
            for stage, gradients in enumerate(_gradients(each, exits, model.blocks, stages)):
                if gradients:
                    behind = [exit_ - 1 for exit_ in gradients]
                    own = torch.stack([*gradients.values()]).double()
                    own *= torch.from_numpy(weights[behind]).to(own)[:, None]
                    between = (own @ own.T).cpu().numpy()
                    inner[stage][np.ix_(behind, behind)] += between
                    norms[stage][behind] += np.sqrt(np.diag(between))
    return inner, norms, weights


def weights_of(model: MultiExit) -> list[list[nn.Parameter]]:
    """Every stage's parameters without those of norms."""
    return [
        [
            parameter
            for module in stage.modules()
            if not isinstance(module, NORMS)
            for parameter in module.parameters(recurse=False)
        ]
        for stage in model.backbone.stages
    ]


def _outputs(model: MultiExit, part: Part, exits: tuple[int, ...]) -> tuple[list[Float[Tensor, "b o"]], Memory]:
    assert part.inputs is not None
    return model.fold(model.features(part.inputs, exits), exits, answered=False)


def in_force(
    model: MultiExit, memory: Memory, exits: tuple[int, ...], epoch: int, costs: tuple[float, ...]
) -> Float64[np.ndarray, " k"]:
    """Weights of the exits' losses in a phase's: its derivatives by their means. Before the first step they are those
    of the first epoch."""
    zero = torch.zeros(1, len(exits), dtype=torch.float64, requires_grad=True)
    now = Now(max(epoch, 1), exits, tuple(costs[exit_ - 1] for exit_ in exits), model.n_exits)
    loss = model.method.loss(zero, tuple(each.detach().cpu()[:1] for each in memory), now)
    (found,) = torch.autograd.grad(loss, zero)
    weights = np.zeros(model.n_exits)
    weights[[exit_ - 1 for exit_ in exits]] = found[0].numpy()
    return weights


def _gradients(
    each: list[Float[Tensor, ""]], exits: tuple[int, ...], blocks: list[int], stages: list[list[nn.Parameter]]
) -> list[dict[int, Float[Tensor, " p"]]]:
    """Of every stage exit -> the gradient of its loss, flat, for the exits behind the stage; none of a stage without
    parameters."""
    found: list[dict[int, Tensor]] = [{} for _ in stages]
    for number, (exit_, loss) in enumerate(zip(exits, each, strict=True), start=1):
        reached = stages[: blocks[exit_ - 1]]
        flat = [parameter for stage in reached for parameter in stage]
        gradients = iter(torch.autograd.grad(loss, flat, retain_graph=number < len(exits), materialize_grads=True))
        for own, parameters in zip(found, reached, strict=False):
            if parameters:
                own[exit_] = torch.cat([next(gradients).flatten() for _ in parameters])
    return found


# -- shares -----------------------------------------------------------------------------------------------------------


def shares(
    model: MultiExit,
    inner: list[Float64[np.ndarray, "k k"]],
    norms: list[Float64[np.ndarray, " k"]],
    weights: Float64[np.ndarray, " k"],
) -> list[dict[str, Any]]:
    """Rows of one moment; an exit before a stage, or without a loss in the phase, has none."""
    rows: list[dict[str, Any]] = []
    for stage, (own, lengths) in enumerate(zip(inner, norms, strict=True), start=1):
        behind = [k for k, block in enumerate(model.blocks) if block >= stage and weights[k] != 0]
        if not behind:
            continue
        whole, note = own.sum(), None
        if not np.isfinite(own).all():
            note = "gradients that are no finite numbers"
        elif whole == 0:
            note = "no gradient"
        found = dict.fromkeys(("projection_share", "norm_share", "cosine"), np.full(len(weights), np.nan))
        if note is None:
            along = own.sum(1)
            with np.errstate(invalid="ignore"):  # the direction of a gradient that is 0
                cosine = along / np.sqrt(np.diag(own) * whole)
            found = {"projection_share": along / whole, "norm_share": lengths / lengths.sum(), "cosine": cosine}
        for metric, values in found.items():
            for k in behind:
                value = None if np.isnan(values[k]) else float(values[k])
                told = {"stage": stage, "exit": k + 1, "metric": metric, "value": value, "weight": float(weights[k])}
                rows.append(told | {"note": note or (None if value is not None else "no gradient")})
        strongest = None if note else behind[int(np.argmax(found["projection_share"][behind]))] + 1
        rows.append({"stage": stage, "metric": "dominant_exit", "value": strongest, "note": note})
    return rows
