"""What is known about an architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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

    In any part, ``{instruction}`` stands for the instruction.

    Attributes:
        models: Parts of the names of the models that it is for.
        start: The texts before the query's.
        query: What stands before the query, in one text with it.
        between: The texts between the query's and the passage's.
        passage: What stands before the passage, in one text with it.
        end: The texts after the passage's.
        is_whole: Whether all is tokenised as one text, as a chat template is; else each text alone.
        instruction: The default instruction.
        instructed: An instruction as the model reads it; ``{}`` stands for it.
        yes: The token for relevant.
        no: The token for not relevant; None if only ``yes`` counts.
    """

    models: tuple[str, ...]
    start: tuple[str, ...] = ()
    query: str
    between: tuple[str, ...] = ()
    passage: str
    end: tuple[str, ...]
    is_whole: bool = False
    instruction: str = ""
    instructed: str = "{}"
    yes: str
    no: str | None

    def filled(self, instruction: str | None) -> Prompt:
        """The same with an instruction in its place; the default one for None."""
        given = instruction or self.instruction
        text = self.instructed.format(given) if given else ""

        def fill(part: str) -> str:
            return part.replace("{instruction}", text)

        return replace(
            self,
            start=tuple(map(fill, self.start)),
            query=fill(self.query),
            between=tuple(map(fill, self.between)),
            passage=fill(self.passage),
            end=tuple(map(fill, self.end)),
        )


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
