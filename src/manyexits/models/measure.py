"""Loss, accuracy and logits of every exit on a split, with evaluation transforms."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from manyexits.batches import augment
from manyexits.data.images import Images
from manyexits.models.network import MultiExit

EVALUATION_BATCH = 100
"""Images a pass: larger batches leave the caches of a CPU and take twice the time there."""


@torch.no_grad()
def measure(
    model: MultiExit,
    split: Images,
    mean: Float[Tensor, " 3"],
    std: Float[Tensor, " 3"],
    rank: int = 0,
    ranks: int = 1,
    collect: bool = False,
) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"], Float[Tensor, "n k c"] | None]:
    """Sums of loss and of right answers at every exit over a rank's share of a split, without augmentation.

    Args:
        model: in evaluation mode.
        split: images.
        mean, std: of the channels, on the model's device.
        rank, ranks: which share: every `ranks`-th batch.
        collect: also return the logits of all exits, on the CPU.
    """
    loss = torch.zeros(model.n_exits, dtype=torch.float64, device=mean.device)
    right = torch.zeros_like(loss)
    logits = []
    for raw, labels in split.batches(EVALUATION_BATCH, rank, ranks):
        target = torch.from_numpy(labels).to(mean.device)
        images = augment.normalise(torch.from_numpy(raw).to(mean.device), mean, std)
        answers = torch.stack([each.float() for each in model(images)])
        loss += torch.stack([functional.cross_entropy(each.double(), target, reduction="sum") for each in answers])
        right += (answers.argmax(-1) == target).sum(1)
        if collect:
            logits.append(answers.transpose(0, 1).cpu())
    return loss, right, torch.cat(logits) if collect else None
