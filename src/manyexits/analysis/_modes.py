"""A network as in training, in which nothing is drawn and nothing stays changed."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from manyexits.models.backbones import in_mode


@contextmanager
def norms_in_training(model: nn.Module) -> Iterator[None]:
    """Inside the block BatchNorm normalises by its batch, dropout is off, and gradients are kept; buffers are as before
    afterwards."""
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    with in_mode(model, training=False), torch.enable_grad():
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.train()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in model.named_buffers():
                    value.copy_(buffers[name])
