"""What a folder is: a classifier, a language model that answers, or a chain of modules."""

from __future__ import annotations

from dataclasses import replace

from crossrank.models.damage import refuses_damage
from crossrank.models.folder import ModelFolder
from crossrank.models.modules import PLAIN_CLASSIFIER, WORDS, Chain, LogitScore, read_chain


@refuses_damage
def scoring_chain(model: ModelFolder) -> Chain:
    """How a model computes scores.

    As in sentence-transformers, modules that end with something else, such as an embedder's, are passed over.

    Raises:
        ModelError: A module is not known, or the modules do not fit together.
    """
    chain = read_chain(model)
    if chain is not None and chain.scores:
        return chain
    is_language_model = chain is None or chain.task == "text-generation"
    if is_language_model and _is_causal(model):
        return Chain("text-generation", WORDS, ())  # its tokenizer knows the answers
    return PLAIN_CLASSIFIER


def answered_by(chain: Chain, yes: int, no: int | None) -> Chain:
    """A language model's chain, with the tokens that it answers with if the chain does not name them."""
    return chain if chain.answer else replace(chain, modules=(LogitScore("LogitScore", yes, no),))


def is_language_model(model: ModelFolder) -> bool:
    """Whether a model answers with a token."""
    return scoring_chain(model).task == "text-generation"


@refuses_damage
def is_bi_encoder(model: ModelFolder) -> bool:
    """Whether a model gives vectors; else it is a cross-encoder, or refused as one."""
    has_head = "SequenceClassification" in str(model.config.get("architectures"))
    chain = read_chain(model)
    return chain is not None and not chain.scores and not has_head and not is_language_model(model)


def _is_causal(model: ModelFolder) -> bool:
    return any(str(name).endswith("ForCausalLM") for name in model.config.get("architectures") or ())
