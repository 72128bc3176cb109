"""Threads that decode photographs ahead of time: Pillow decodes and scales without holding Python's lock.

Not processes: one that is forked beside a training shares its memory, and every page that the training then writes to
is copied first.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

AHEAD = 2
"""Requests that wait for every worker."""


def ahead(fetch: Callable[[Asked], Answer], requests: Iterable[Asked], workers: int) -> Iterator[Answer]:
    """What `fetch` answers to the requests, in order, while workers see to the next ones.

    Raises:
        what `fetch` does, where its answer is due.
    """
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[Answer]] = deque()
    try:
        for request in requests:
            waiting.append(pool.submit(fetch, request))
            if len(waiting) > AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # a training that stops asks for no more
        pool.shutdown(cancel_futures=True)
