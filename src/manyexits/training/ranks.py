"""Inside the ranks of one training: what makes several processes do together what one would do alone."""

from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def count() -> int:
    """Number of ranks of this training."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def first(work: Callable[[], object]) -> None:
    """Let the first rank do something for all. What goes wrong there goes wrong in every rank: none waits for it."""
    wrong: list[Exception | None] = [None]
    if count() == 1 or distributed.get_rank() == 0:
        try:
            work()
        except (ValueError, OSError) as error:
            wrong = [error]
    if count() > 1:
        distributed.broadcast_object_list(wrong)
    if wrong[0] is not None:
        raise wrong[0]


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over the ranks: in one piece, always in the same order.

    DistributedDataParallel sums them in pieces that it lays out anew after its first step. A sum of more than two
    numbers rounds otherwise then, and a training that goes on would not have the bits of one that was never stopped.
    """
    average([parameter.grad for parameter in parameters if parameter.grad is not None])


def average(values: Sequence[Tensor]) -> None:
    """Replace values by their mean over the ranks."""
    if count() == 1:
        return
    whole = torch.cat([each.flatten() for each in values])
    distributed.all_reduce(whole)
    whole /= count()
    for each, mean in zip(values, whole.split([each.numel() for each in values]), strict=True):
        each.copy_(mean.view_as(each))


def join_norms(network: nn.Module, device: torch.device, twice: bool = False) -> Callable[[], None]:
    """Let every BatchNorm that learns see the batch of all ranks, and return the function that undoes it.

    A module changes its class and nothing else: its parameters, buffers, name and place stay.

    Args:
        network: with the groups frozen that do not learn.
        device: of the network.
        twice: whether gradients are differentiated, which torch's own cannot be.

    Raises:
        ValueError: for a kind of BatchNorm that would lose something by it.
    """
    if count() == 1:
        return lambda: None
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.training]
    kinds = [type(norm) for norm in norms]
    if other := [kind.__name__ for kind in kinds if kind not in PLAIN]:
        raise ValueError(f"{other[0]} cannot be trained on several devices; set devices: 1 in the recipe")
    for norm in norms:
        norm.__class__ = JoinedOnGpu if device.type == "cuda" and not twice else Joined

    def part() -> None:
        for norm, kind in zip(norms, kinds, strict=True):
            norm.__class__ = kind

    return part


class JoinedOnGpu(nn.SyncBatchNorm):
    """BatchNorm over the batch of all ranks, torch's own."""

    process_group = None


class Joined(_BatchNorm):
    """The same on every device, as often differentiable as one likes."""

    # what every BatchNorm of ours has
    weight: nn.Parameter
    bias: nn.Parameter
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def _check_input_dim(self, input: Tensor) -> None:
        """Any, as for torch's own."""

    def forward(self, x: Float[Tensor, "b c ..."]) -> Float[Tensor, "b c ..."]:
        """Normalise by mean and variance over the samples and positions of all ranks, which have equally many."""
        if not self.training:
            return super().forward(x)
        samples = [0, *range(2, x.dim())]
        n = count() * x.numel() // x.shape[1]
        values = x.float()
        mean = _Sum.apply(values.sum(samples, keepdim=True)) / n
        centred = values - mean
        variance = _Sum.apply(centred.square().sum(samples, keepdim=True)) / n
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.flatten(), self.momentum)
            self.running_var.lerp_(variance.flatten() * n / (n - 1), self.momentum)
        weight, bias = (each.view(mean.shape) for each in (self.weight, self.bias))
        return (centred * torch.rsqrt(variance + self.eps) * weight + bias).to(x.dtype)


class _Sum(torch.autograd.Function):
    """Sum over the ranks. Every rank's loss depends on it, so its gradient is the sum of all ranks' gradients."""

    @staticmethod
    def forward(_: object, x: Tensor) -> Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient)
