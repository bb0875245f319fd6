"""Model conversion: pull, quantise, and compare with the original and with published scores."""

from __future__ import annotations

from typing import Literal, TypeAlias

WeightFormat: TypeAlias = Literal["int8", "fp32"]
"""The weight format of a pulled model: quantised to int8, or unchanged."""
