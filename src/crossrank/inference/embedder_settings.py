"""What an embedder's files say beside its tensors: its modules, its similarity and its prompts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from crossrank.errors import ModelError
from crossrank.inference import Similarity
from crossrank.models.damage import refuses_damage
from crossrank.models.folder import ModelFolder
from crossrank.models.modules import VECTOR, Chain, Normalize, read_chain


@dataclass(frozen=True)
class EmbedderSettings:
    """How an embedder makes vectors of texts, and how its vectors are compared.

    Attributes:
        chain: Its modules.
        similarity: The similarity that the model was trained for.
        prompts: Texts to put before a text, by kind: ``query``, ``document``.
    """

    chain: Chain
    similarity: Similarity = "cosine"
    prompts: dict[str, str] = field(default_factory=dict)


@refuses_damage
def read_settings(model: ModelFolder) -> EmbedderSettings:
    """Read modules.json and the modules that it lists.

    Raises:
        ModelError: The model is not an embedder, or has a module that is not supported.
    """
    chain = read_chain(model)
    if chain is None:
        architectures = ", ".join(model.config.get("architectures") or ["unknown"])
        hint = "it is a reranker" if "SequenceClassification" in architectures else "nothing says how to pool"
        raise ModelError(
            f"{model.name} ({architectures}) has no modules.json, so it is no "
            f"sentence-transformers embedder: {hint}"
        )
    if chain.scores:
        raise ModelError(f"{model.name} is a reranker: its modules give scores, and no text vectors")
    if (chain.modules[-1].target if chain.modules else chain.feature) != VECTOR:
        raise ModelError(f"{model.name} has no pooling module in modules.json, so it gives no text vectors")
    extra = model.json("config_sentence_transformers.json")
    return EmbedderSettings(chain, _similarity(model, extra, chain), _prompts(extra))


def _similarity(model: ModelFolder, extra: dict[str, Any], chain: Chain) -> Similarity:
    named = extra.get("similarity_fn_name")
    if named in {"cosine", "dot", "euclidean"}:
        return cast("Similarity", named)
    if named is not None:
        raise ModelError(f"{model.name} compares by {named!r}, which is not supported")
    # Models saved before sentence-transformers 3 do not store the similarity. Those trained for the dot
    # product have it in their name (msmarco-distilbert-dot-v5, multi-qa-mpnet-base-dot-v1) and do not
    # normalise.
    normalizes = any(isinstance(module, Normalize) for module in chain.modules)
    return "dot" if not normalizes and "-dot-" in f"{model.name}-{model.path.name}-" else "cosine"


def _prompts(extra: dict[str, Any]) -> dict[str, str]:
    prompts = {key: text for key, text in (extra.get("prompts") or {}).items() if isinstance(text, str)}
    default = prompts.get(extra.get("default_prompt_name") or "", "")
    query = prompts.get("query", default)
    document = next((prompts[key] for key in ("document", "passage", "corpus") if key in prompts), default)
    return {"query": query, "document": document}
