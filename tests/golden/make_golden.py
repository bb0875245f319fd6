"""Write golden.json: what transformers gives for the tiny models of every family, in float32.

    PYTHONPATH=tests python tests/golden/make_golden.py

It needs PyTorch and transformers (the extra ``parity``).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, cast

import torch
from support.modern_models import MODERN, write_modern_embedder, write_modern_reranker
from support.references import REFERENCES, REWRITTEN, Reference
from support.tiny_models import FAMILIES, PAIRS, TEXTS, write_embedder, write_reranker
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

FILE = Path(__file__).with_name("golden.json")


def golden() -> dict[str, Any]:
    """Logits of PAIRS and pooled vectors of TEXTS, by family."""

    def rewritten(family: str, written: Path) -> Path:
        return REWRITTEN[family](written) if family in REWRITTEN else written

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        older = {
            family: {
                "logits": _logits(write_reranker(folder / f"{family}-reranker", family)),
                "vectors": _vectors(write_embedder(folder / f"{family}-embedder", family)),
            }
            for family in FAMILIES
        }
        newer = {
            family: {
                "logits": _logits(
                    rewritten(family, write_modern_reranker(folder / f"{family}-reranker", family)),
                    REFERENCES.get(family),
                ),
                "vectors": _vectors(
                    rewritten(family, write_modern_embedder(folder / f"{family}-embedder", family)),
                    REFERENCES.get(family),
                ),
            }
            for family in MODERN
        }
        return older | newer


@torch.inference_mode()
def _logits(folder: Path, reference: type[Reference] | None = None) -> list[float]:
    # "eager" is the arithmetic of the papers; one pair at a time, so that no padding is involved.
    if reference is not None:
        return [_rounded(reference(folder).logits(*pair)) for pair in PAIRS]
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [
        _rounded(model(**tokenizer([query], [passage], truncation=True, return_tensors="pt")).logits[0, 0])
        for query, passage in PAIRS
    ]


@torch.inference_mode()
def _vectors(folder: Path, reference: type[Reference] | None = None) -> dict[str, list[list[float]]]:
    def hidden_states(text: str) -> torch.Tensor:
        if reference is not None:
            return reference(folder).hidden_states(text)
        given = model(**tokenizer([text], truncation=True, return_tensors="pt")).last_hidden_state[0]
        return cast("torch.Tensor", given)

    if reference is None:
        model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
    vectors: dict[str, list[list[float]]] = {"cls": [], "mean": [], "max": [], "mean_sqrt_len": []}
    for text in TEXTS:
        hidden = hidden_states(text)
        vectors["cls"].append(_rounded(hidden[0]))
        vectors["mean"].append(_rounded(hidden.mean(0)))
        vectors["max"].append(_rounded(hidden.max(0).values))
        vectors["mean_sqrt_len"].append(_rounded(hidden.sum(0) / len(hidden) ** 0.5))
    return vectors


def _rounded(numbers: torch.Tensor) -> Any:
    return torch.round(numbers.double(), decimals=6).tolist()


if __name__ == "__main__":
    FILE.write_text(json.dumps(golden(), separators=(",", ":")) + "\n", encoding="utf-8")
