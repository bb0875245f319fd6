"""Models made into others: pulled, quantised, and compared with their original and with published scores."""

from __future__ import annotations

from typing import Literal, TypeAlias

WeightFormat: TypeAlias = Literal["int8", "fp32"]
"""What the weights of a pulled model are: rounded to 8 bits, or as they were."""
