from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.inference.prefetching import growing_parts, prefetch


def test_next_item_is_worked_on_while_the_one_before_is_used() -> None:
    started = threading.Event()

    def work(number: int) -> int:
        if number == 1:
            started.set()
        return number

    results = prefetch(work, [0, 1])
    assert next(results) == 0
    assert started.wait(10)
    assert list(results) == [1]


@pytest.mark.parametrize("items", [[0], [1, 0], [1, 1, 0]])
def test_error_of_the_work_comes_to_who_uses_it(items: list[int]) -> None:
    with pytest.raises(ZeroDivisionError):
        list(prefetch(lambda number: 1 // number, items))


@given(st.integers(0, 3000), st.integers(1, 64))
def test_parts_grow_and_leave_nothing_out(total: int, first: int) -> None:
    parts = growing_parts(total, first, 256)
    sizes = [part.stop - part.start for part in parts]
    assert [place for part in parts for place in range(total)[part]] == list(range(total))
    assert all(size <= 256 for size in sizes)
    assert sizes[:-1] == sorted(sizes[:-1])
    assert not sizes or sizes[0] == min(first, total)
