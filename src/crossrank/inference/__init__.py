"""Inference: tokenisation, batching, engines, cross-encoders and bi-encoders."""

from __future__ import annotations

from typing import Literal, TypeAlias

Similarity: TypeAlias = Literal["cosine", "dot", "euclidean"]
"""How two vectors of a bi-encoder are compared."""
