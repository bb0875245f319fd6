"""What an embedder's files say next to its tensors: its modules, its similarity and its prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from crossrank.errors import InputError, ModelError
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
        truncate_dim: How many of a vector's first numbers are kept; None for all.
    """

    chain: Chain
    similarity: Similarity = "cosine"
    prompts: dict[str, str] = field(default_factory=dict)
    truncate_dim: int | None = None

    def changed(self, prompts: Mapping[str, str] | None, truncate_dim: int | None) -> EmbedderSettings:
        """The same with other prompts or another length.

        Raises:
            InputError: A prompt is of another kind, or the length is none.
        """
        if strange := sorted((prompts or {}).keys() - {"query", "document"}):
            raise InputError(f"prompts can have 'query' and 'document'; they have {strange[0]!r:.40}")
        if truncate_dim is not None and truncate_dim < 1:
            raise InputError(f"truncate_dim must be at least 1; it is {truncate_dim}")
        return replace(
            self,
            prompts=self.prompts | dict(prompts or {}),
            truncate_dim=self.truncate_dim if truncate_dim is None else truncate_dim,
        )


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
    length = extra.get("truncate_dim")
    if length is not None and (not isinstance(length, int) or length < 1):
        raise ModelError(f"{model.name}: truncate_dim must be a whole number from 1; it is {length!r:.40}")
    return EmbedderSettings(chain, _similarity(model, extra, chain), _prompts(extra), length)


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
