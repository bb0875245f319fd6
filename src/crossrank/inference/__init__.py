"""Texts to numbers: tokens, batches, engines, and the two kinds of encoder."""

from __future__ import annotations

from typing import Literal, TypeAlias

Similarity: TypeAlias = Literal["cosine", "dot", "euclidean"]
"""How two vectors of a bi-encoder are compared."""
