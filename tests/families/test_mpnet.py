from __future__ import annotations

import numpy as np

from crossrank.families.mpnet import relative_buckets


def test_relative_distances_share_buckets_as_in_t5() -> None:
    near = relative_buckets(np.arange(-8, 9), 32)
    assert near.tolist() == [8, 7, 6, 5, 4, 3, 2, 1, 0, 17, 18, 19, 20, 21, 22, 23, 24]
    assert relative_buckets(np.array([-1000, -128, 128, 1000]), 32).tolist() == [15, 15, 31, 31]
