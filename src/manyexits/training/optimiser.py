"""Which optimiser a recipe asks for, and its learning rate at every step."""

import math
from typing import Any

import torch
from torch import Tensor

from manyexits.study.recipe import Recipe

DROPS = (0.5, 0.75)
"""Shares of the epoch limit at which the schedule `step` takes a tenth of the learning rate (Huang et al., 2018)."""


def optimiser(recipe: Recipe, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """A new optimiser over these parameters."""
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(parameters, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step of a phase, counted from 0 over the recipe's epoch limit."""
    done = step / (recipe.epochs * steps_per_epoch)
    if recipe.schedule == "constant":
        return recipe.lr
    if recipe.schedule == "step":
        return recipe.lr * 0.1 ** sum(done >= drop for drop in DROPS)
    if recipe.schedule == "linear":
        return recipe.lr * (done / recipe.warmup if done < recipe.warmup else (1 - done) / (1 - recipe.warmup))
    share = 0.5 * (1 + math.cos(math.pi * step / (recipe.epochs * steps_per_epoch)))
    return recipe.lr_min + (recipe.lr - recipe.lr_min) * share


def stepped(recipe: Recipe, rate: float, value: Tensor, gradient: Tensor, state: dict[str, Any]) -> Tensor:
    """What torch's optimiser makes of a parameter, differentiable in the gradient; nothing changes.

    Args:
        recipe: whose optimiser it is.
        rate: learning rate.
        value: of the parameter.
        gradient: of it.
        state: what the optimiser keeps of it; empty before its first step.
    """
    if recipe.optimizer == "sgd":
        gradient = gradient + recipe.weight_decay * value
        moved = state.get("momentum_buffer")
        return value - rate * (gradient if moved is None else recipe.momentum * moved + gradient)
    beta_1, beta_2, eps = 0.9, 0.999, 1e-8  # torch's defaults
    step = float(state.get("step", 0)) + 1
    first = beta_1 * state.get("exp_avg", 0) + (1 - beta_1) * gradient
    second = beta_2 * state.get("exp_avg_sq", 0) + (1 - beta_2) * gradient.square()
    # where nothing was ever felt the root has no slope
    root = torch.where(second > 0, second, 1.0).sqrt().where(second > 0, 0.0) / math.sqrt(1 - beta_2**step)
    return value * (1 - rate * recipe.weight_decay) - rate / (1 - beta_1**step) * first / (root + eps)
