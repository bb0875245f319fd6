"""Prefetching: prepare the next item in another thread while the current one is processed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield the results in order; the next one is computed in another thread meanwhile.

    Example:
        >>> list(prefetch(len, ["a", "bb", "ccc"]))
        [1, 2, 3]
    """
    if len(items) < 2:  # nothing to overlap
        yield from map(work, items)
        return
    with ThreadPoolExecutor(1) as other:
        coming = other.submit(work, items[0])
        for item in items[1:]:
            ready = coming.result()
            coming = other.submit(work, item)
            yield ready
        yield coming.result()


def growing_parts(total: int, first: int, largest: int) -> list[slice]:
    """Split ``total`` items into parts that double in size, so that the first part is ready soon.

    Example:
        >>> growing_parts(10, 2, 4)
        [slice(0, 2, None), slice(2, 6, None), slice(6, 10, None)]
    """
    parts, start, size = [], 0, first
    while start < total:
        parts.append(slice(start, min(start + size, total)))
        start, size = start + size, min(2 * size, largest)
    return parts
