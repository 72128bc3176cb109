"""Which optimiser a recipe asks for, and its learning rate at every step."""

import math

import torch

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
    share = 0.5 * (1 + math.cos(math.pi * step / (recipe.epochs * steps_per_epoch)))
    return recipe.lr_min + (recipe.lr - recipe.lr_min) * share
