"""Workers that decode photographs ahead of time, through torch's loader: one request each, answered in order."""

import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

Asked = TypeVar("Asked")
Arrays = tuple[np.ndarray, np.ndarray]


def ahead(fetch: Callable[[Asked], Arrays], requests: Iterable[Asked], workers: int) -> Iterator[Arrays]:
    """What `fetch` answers to the requests, while workers see to the next ones.

    Raises:
        ValueError: as `fetch` does.
    """
    loader: Any = DataLoader(
        _Fetched(fetch),
        sampler=cast(Any, requests),
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=_outlive_signals,
    )
    for found in loader:
        if isinstance(found, ValueError):
            raise found
        images, labels = found
        yield images.numpy(), labels.numpy()


def _outlive_signals(worker: int) -> None:
    """Ignore what asks a job to end: a terminal or a batch system tells all of its processes, and the one that trains
    saves itself; its workers end with it."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


class _Fetched(Dataset, Generic[Asked]):
    """What a worker does with a request."""

    def __init__(self, fetch: Callable[[Asked], Arrays]) -> None:
        self.fetch = fetch

    def __getitem__(self, request: Asked) -> tuple[torch.Tensor, ...] | ValueError:
        try:
            return tuple(map(torch.from_numpy, self.fetch(request)))  # tensors travel in shared memory
        except ValueError as error:
            return error  # raised here, it would come out of the loader with a page around it


def _as_it_is(found: Any) -> Any:
    return found
