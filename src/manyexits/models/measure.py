"""Loss, gain and outputs of every exit on a split, with evaluation transforms."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from manyexits.batches.views import Views
from manyexits.data.images import Images
from manyexits.data.texts import Texts
from manyexits.exits import task
from manyexits.models import losses
from manyexits.models.network import MultiExit


@torch.no_grad()
def measure(
    model: MultiExit,
    views: Views,
    split: Images | Texts,
    rank: int = 0,
    ranks: int = 1,
    answered: bool = True,
    collect: bool = False,
) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"], Float[Tensor, "n k o"] | None]:
    """Sums of loss and of gain (accuracy's, or minus the squared error) at every exit over a rank's share of a split.

    Args:
        model: in evaluation mode.
        views: of the dataset.
        split: one of its splits, or a part of one.
        rank, ranks: which share: every `ranks`-th slice.
        answered: what a trained network says, instead of the exits' own outputs.
        collect: also return the outputs of all exits, on the CPU.
    """
    asked, exits = task.of(views.data.task), tuple(range(1, model.n_exits + 1))
    loss = torch.zeros(model.n_exits, dtype=torch.float64, device=views.device)
    gain = torch.zeros_like(loss)
    collected, order = [], None
    if isinstance(split, Texts):  # so that little is padded; it changes no outputs beyond rounding
        split, order = split.by_length()
    for part in views.whole(split, rank, ranks):
        assert part.inputs is not None
        found, _ = model.fold(model.features(part.inputs, exits), exits, answered)
        outputs = torch.stack([each.float() for each in found], dim=1)
        loss += torch.stack([losses.summed(asked, each.double(), part.targets) for each in outputs.unbind(1)])
        gain += asked.gain(asked.answers(outputs), part.targets).sum(0)
        if collect:
            collected.append(outputs.cpu())
    if not collect:
        return loss, gain, None
    outputs = torch.cat(collected)
    return loss, gain, outputs if order is None else outputs[np.argsort(order)]
