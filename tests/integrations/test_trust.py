"""All adapters abstain by the same keyword, and log what a ranking says of itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from haystack import Document as HaystackDocument
from langchain_core.cross_encoders import BaseCrossEncoder
from langchain_core.documents import Document as LangchainDocument
from llama_index.core.schema import NodeWithScore, TextNode

from crossrank import CrossEncoder, InputError, Reranker
from crossrank.errors import UncalibratedError
from crossrank.integrations.haystack import CrossrankRanker
from crossrank.integrations.langchain import (
    CrossEncoderReranker,
    CrossrankRetriever,
    HuggingFaceCrossEncoder,
)
from crossrank.integrations.llama_index import CrossrankRerank
from crossrank.integrations.pyterrier import CrossrankTransformer

QUESTION = "Who bakes bread?"
TEXTS = ["A tide table.", "Bees dance. Every night the bakers bake bread.", "Trains run along the coast."]


def haystack(model: CrossEncoder, question: str = QUESTION, **options: Any) -> list[str]:
    documents = [HaystackDocument(content=text) for text in TEXTS]
    ranked = CrossrankRanker(model=model, **options).run(query=question, documents=documents)["documents"]
    return [str(document.content) for document in ranked]


def langchain(model: CrossEncoder, question: str = QUESTION, **options: Any) -> list[str]:
    reranker = CrossEncoderReranker(
        model=HuggingFaceCrossEncoder(model_name=model.name), top_n=None, **options
    )
    documents = [LangchainDocument(text) for text in TEXTS]
    return [one.page_content for one in reranker.compress_documents(documents, question)]


def langchain_search(model: CrossEncoder, question: str = QUESTION, **options: Any) -> list[str]:
    documents = [LangchainDocument(text) for text in TEXTS]
    retriever = CrossrankRetriever.from_documents(
        documents, top_n=None, model=model, retrieval="lexical", **options
    )
    return [one.page_content for one in retriever.invoke(question)]


def llama_index(model: CrossEncoder, question: str = QUESTION, **options: Any) -> list[str]:
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]
    found = CrossrankRerank(model, top_n=3, **options).postprocess_nodes(nodes, query_str=question)
    return [node.text for node in found]


def pyterrier(model: CrossEncoder, question: str = QUESTION, **options: Any) -> list[str]:
    rows = [["q", question, str(number), text] for number, text in enumerate(TEXTS)]
    frame = pd.DataFrame(rows, columns=["qid", "query", "docno", "text"])
    return list(CrossrankTransformer(model, **options)(frame)["text"])


ADAPTERS = [haystack, langchain, langchain_search, llama_index, pyterrier]


@pytest.mark.parametrize("rank", ADAPTERS)
def test_only_what_is_probable_is_returned(
    rank: Callable[..., list[str]],
    bundled: CrossEncoder,
    tiny: CrossEncoder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert rank(bundled, min_probability=0.3) == [TEXTS[1]]
    with caplog.at_level(logging.WARNING, "crossrank.integrations"):
        assert rank(bundled, "How many moons does Jupiter have?", min_probability=0.9) == []
    # What was not found, its first stage has not found.
    if rank is not langchain_search:
        assert "nothing is relevant enough" in caplog.text
    with pytest.raises(UncalibratedError):
        rank(tiny, min_probability=0.3)
    with pytest.raises(ValueError, match="min_probability"):
        rank(bundled, min_probability=2)


@pytest.mark.parametrize("rank", ADAPTERS)
def test_a_question_that_the_model_cannot_read_is_logged(
    rank: Callable[..., list[str]], bundled: CrossEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "crossrank.integrations"):
        rank(bundled, "誰がパンを焼きますか、教えてください bread")  # the first stage finds one word
    assert "cannot read the question" in caplog.text


def test_langchain_documents_have_their_probability_and_sentences(bundled: CrossEncoder) -> None:
    expected = Reranker(bundled).rank(QUESTION, TEXTS, explain=True, top_n=1)[0]
    documents = [LangchainDocument(text) for text in TEXTS]
    reranker = CrossEncoderReranker(model=HuggingFaceCrossEncoder(), top_n=1, explain=True)
    [best] = reranker.compress_documents(documents, QUESTION)
    assert best.metadata["relevance_probability"] == pytest.approx(expected.probability, abs=1e-6)
    spans = best.metadata["relevance_spans"]
    assert [(one["start"], one["end"]) for one in spans] == [(one.start, one.end) for one in expected.spans]
    assert best.page_content[spans[0]["start"] : spans[0]["end"]] == "Every night the bakers bake bread."
    retriever = CrossrankRetriever.from_documents(documents, model=bundled, retrieval="lexical")
    [found, *_] = retriever.invoke(QUESTION, explain=True)
    assert found.metadata["relevance_spans"][0]["start"] == spans[0]["start"]
    assert 0 < found.metadata["relevance_probability"] < 1
    assert "relevance_spans" not in retriever.invoke(QUESTION)[0].metadata


def test_langchain_models_of_others_have_neither(bundled: CrossEncoder) -> None:
    class Other(BaseCrossEncoder):
        def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
            return [0.5] * len(text_pairs)

    for options in ({"min_probability": 0.5}, {"explain": True}):
        with pytest.raises(InputError, match="need a model of crossrank"):
            CrossEncoderReranker(model=Other(), **options).compress_documents([LangchainDocument("x")], "y")
