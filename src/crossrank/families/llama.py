"""LLaMA (Touvron et al. 2023) and Qwen2 (Yang et al. 2024): packed language models."""

from __future__ import annotations

from crossrank.families.family import Family

FAMILY = Family(names=("llama", "qwen2"), packs_language_model=True)
