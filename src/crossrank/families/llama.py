"""LLaMA (Touvron et al. 2023): packed language models."""

from __future__ import annotations

from crossrank.families.family import Family

FAMILY = Family(names=("llama",), packs_language_model=True)
