"""Texts to numbers: tokens, batches, engines, and the two kinds of encoder."""

from __future__ import annotations

from typing import Literal, TypeAlias

Similarity: TypeAlias = Literal["cosine", "dot", "euclidean"]
"""How two vectors of a bi-encoder are compared."""
Precision: TypeAlias = Literal["int8", "fp32"]
"""What the weights of a pulled model are: rounded to 8 bits, or as they were."""
