"""Losses of an exit: cross-entropy for classes, the squared error for scores."""

from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional

from manyexits.exits.task import Task


def terms(
    task: Task, outputs: Float[Tensor, "p o"], targets: Float[Tensor, "p o"], smoothing: float = 0.0
) -> Float[Tensor, "p o"]:
    """What each output adds to its sample's loss: their sums over the outputs are torch's losses of the samples.

    Args:
        task: classification or regression.
        outputs: of one exit.
        targets: shares of the classes, adding up to 1, or scores.
        smoothing: share of the target that is spread over all classes.
    """
    if task.name == "regression":
        return (outputs - targets).square()
    if smoothing > 0:
        targets = targets * (1 - smoothing) + smoothing / task.outputs
    return -(functional.log_softmax(outputs, dim=1) * targets)


def summed(task: Task, outputs: Float[Tensor, "p o"], labels: Shaped[Tensor, " p"]) -> Float[Tensor, ""]:
    """Sum of the samples' losses, for labels: classes or scores."""
    if task.name == "regression":
        return (outputs[:, 0] - labels).square().sum()
    return functional.cross_entropy(outputs, labels, reduction="sum")
