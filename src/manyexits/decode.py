"""Workers that decode photographs ahead of time, through torch's loader: one request each, answered in order."""

from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch
from torch.utils.data import DataLoader, Dataset

from manyexits.images import Batch, Images, Request


def ahead(split: Images, requests: Iterable[Request]) -> Iterator[Batch]:
    """What the requests ask for, while workers decode the next ones.

    Raises:
        ValueError: when a photograph can no longer be read.
    """
    loader: Any = DataLoader(
        _Decoded(split),
        sampler=cast(Any, requests),
        batch_size=None,
        num_workers=split.workers,
        collate_fn=_as_it_is,
    )
    for found in loader:
        if isinstance(found, ValueError):
            raise found
        images, labels = found
        yield images.numpy(), labels.numpy()


class _Decoded(Dataset):
    """What a worker does with a request."""

    def __init__(self, split: Images) -> None:
        self.split = split

    def __getitem__(self, request: Request) -> tuple[torch.Tensor, ...] | ValueError:
        try:
            return tuple(map(torch.from_numpy, self.split.fetch(request)))  # tensors travel in shared memory
        except ValueError as error:
            return error  # raised here, it would come out of the loader with a page around it


def _as_it_is(found: Any) -> Any:
    return found
