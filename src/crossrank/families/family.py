"""What is known about an architecture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from crossrank.families.graphs.graph import Graph
    from crossrank.families.networks.network import Network


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a language model is asked, where its folder does not say so.

    Attributes:
        before: Stands before the query; ``{instruction}`` in it is replaced.
        between: Stands between query and passage.
        after: Stands after the passage.
        instruction: What is asked for.
        yes: The token that says relevant.
        no: The token that says not.
    """

    before: str
    between: str
    after: str
    instruction: str
    yes: str = "yes"
    no: str = "no"


@dataclass(frozen=True, kw_only=True)
class Family:
    """An architecture: how its models run, and what is peculiar to them.

    Everything but the names may be left out; transformers then runs the model, in padded batches.

    Attributes:
        names: Values of ``model_type`` in config.json.
        graph: Builds a model's OpenVINO graph from its tensors. None: without PyTorch, its models run from
            exported files alone.
        packed: Wraps transformers' classifier, on its device, so that it takes inputs end to end. None: its
            inputs are padded.
        packs_language_model: Whether transformers' language model takes inputs end to end: each of its layers
            calls the attention function that it is given, with positions as they are given.
        pad_token_id: The padding token where config.json names none.
        counts_positions_from_padding: Whether the first position is the one after the padding token's id,
            as in RoBERTa.
        head: How the names of the tensors begin that turn a vector into logits.
        kept_in_float: Parts of tensors' names. What has one keeps its floats in an int8 copy: the head, where
            errors reach the score at once, and small tables.
        prompt: What its rerankers are asked that are language models and do not say it themselves.

    Example:
        >>> Family(names=("my-bert",), pad_token_id=1).packs_language_model
        False
    """

    names: tuple[str, ...]
    graph: type[Graph] | None = None
    packed: Callable[[Any, torch.device], Network] | None = None
    packs_language_model: bool = False
    pad_token_id: int = 0
    counts_positions_from_padding: bool = False
    head: str = "classifier."
    kept_in_float: frozenset[str] = frozenset(
        {"classifier", "pooler", "position_embeddings", "token_type_embeddings"}
    )
    prompt: Prompt | None = None
