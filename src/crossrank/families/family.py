"""What is known about an architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from crossrank.families.graphs.graph import Graph
    from crossrank.families.networks.bodies import Body
    from crossrank.families.networks.network import Network


# How transformers' names of networks end.
_ENDS = ("Model", "ForMaskedLM", "ForMultipleChoice", "ForPreTraining", "ForQuestionAnswering")
_HEADS = ("ForSequenceClassification", "ForTokenClassification")


def networks(name: str) -> frozenset[str]:
    """The names of an architecture's networks in transformers' style.

    Example:
        >>> "NewForSequenceClassification" in networks("New")
        True
    """
    return frozenset(f"{name}{end}" for end in _ENDS + _HEADS)


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """The prompt of a language model whose folder has none.

    Attributes:
        before: The text before the query; ``{instruction}`` is replaced.
        between: The text between query and passage.
        after: The text after the passage.
        instruction: The default instruction.
        yes: The token for relevant.
        no: The token for not relevant.
    """

    before: str
    between: str
    after: str
    instruction: str
    yes: str = "yes"
    no: str = "no"


@dataclass(frozen=True, kw_only=True)
class Family:
    """An architecture: how its models run, and how they differ from others.

    Everything except the names is optional; by default, transformers runs the model in padded batches.

    Attributes:
        names: Values of ``model_type`` in config.json.
        graph: Builds a model's OpenVINO graph from its tensors. None: without PyTorch, its models run from
            exported files alone.
        known_code: Classes in a repository's own Python code (``auto_map`` in config.json) whose network the
            graph computes. The code is not run; a model that names other classes is refused.
        in_transformers: Gives the config.json of such a repository in transformers' words, so that PyTorch
            runs it; None where transformers does not have the network.
        packed: Wraps transformers' classifier, on its device, so that it takes inputs end to end. None: its
            inputs are padded.
        packed_body: The same for transformers' network without a head.
        packs_language_model: Whether transformers' language model takes inputs end to end, with a head or
            without: each of its layers calls the attention function that it is given, with positions as they
            are given.
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
    known_code: frozenset[str] = frozenset()
    in_transformers: Callable[[Mapping[str, Any]], dict[str, Any] | None] | None = None
    packed: Callable[[Any, torch.device], Network] | None = None
    packed_body: Callable[[Any, torch.device], Body] | None = None
    packs_language_model: bool = False
    pad_token_id: int = 0
    counts_positions_from_padding: bool = False
    head: str = "classifier."
    kept_in_float: frozenset[str] = frozenset(
        {"classifier", "pooler", "position_embeddings", "token_type_embeddings"}
    )
    prompt: Prompt | None = None
