"""Whether a network can be trained with as many samples a pass as its recipe has."""

import torch
from torch.func import functional_call

from manyexits.batches.state import parts
from manyexits.batches.views import Blanks
from manyexits.models.backbones import in_mode
from manyexits.models.build import drawn_from
from manyexits.models.network import MultiExit

ENOUGH = 2
"""Samples of which every channel has several values; more cost only time to try."""


@torch.no_grad()
def check(network: MultiExit, blanks: Blanks, samples: int, where: str) -> None:
    """Refuse a network that cannot be run in training mode on so many samples; nothing of it changes.

    BatchNorm has no variance to divide by where one sample meets maps of one pixel, as behind the last stage of many
    networks. A group that is frozen runs in evaluation mode, as in its phase.

    Args:
        network: with the groups frozen that the phase freezes.
        blanks: inputs like the dataset's.
        samples: per device and pass.
        where: of the recipe, as in `recipes.pets`.

    Raises:
        ValueError: names the keys, and what to set them to.
    """
    if (reason := _fails(network, blanks, min(samples, ENOUGH))) is None:
        return
    if samples >= ENOUGH or _fails(network, blanks, ENOUGH) is not None:
        raise ValueError(f"{where}: the network does not run in training mode ({reason}); choose another backbone")
    raise ValueError(
        f"{where}: with one sample per device and pass the network cannot be trained, since a BatchNorm in it meets a"
        f" single value per channel; set {where}.per_device_batch, and {where}.batch where that is smaller, to {ENOUGH}"
        " or more, or prepare the dataset at a larger size"
    )


def _fails(network: MultiExit, blanks: Blanks, samples: int) -> str | None:
    """What a pass in training mode says that cannot be run."""
    try:
        with in_mode(network, training=True), drawn_from(0, 0):
            for blank in blanks[:: max(1, len(blanks) - 1)]:  # the smallest and the largest
                repeated = tuple(torch.cat([part] * samples) for part in parts(blank.inputs))
                inputs = repeated if isinstance(blank.inputs, tuple) else repeated[0]
                buffers = {name: value.clone() for name, value in network.named_buffers()}  # statistics that it moves
                functional_call(network, buffers, (inputs,))
    except (ValueError, RuntimeError) as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None
