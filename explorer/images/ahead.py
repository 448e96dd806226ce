"""Pictures that are decoded by threads ahead of their turn, a bounded number of them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from explorer.errors import ImageError

Loaded = TypeVar("Loaded")


def ahead(
    load: Callable[[int], Loaded], numbers: Iterable[int], depth: int, workers: int | None = None
) -> Generator[Loaded | ImageError]:
    """`load` of each number, in their order, at most `depth` ahead; of a broken picture its error instead.

    workers: threads, one a core by default. They are at work while the network is: decoders and torch both let go of
    Python meanwhile.
    """

    def loaded(number: int) -> Loaded | ImageError:
        try:
            return load(number)
        except ImageError as error:
            return error

    left = iter(numbers)
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1, "decode")
    try:
        waiting = deque[Future[Loaded | ImageError]](pool.submit(loaded, each) for each in islice(left, depth))
        while waiting:
            found = waiting.popleft().result()
            waiting.extend(pool.submit(loaded, each) for each in islice(left, 1))
            yield found
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
