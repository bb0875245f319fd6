"""All adapters read long documents whole, and refuse truncated ones, by the same two keywords."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from haystack import Document as HaystackDocument
from langchain_core.documents import Document as LangchainDocument
from llama_index.core.schema import NodeWithScore, TextNode

from crossrank import CrossEncoder, InputError, TruncationWarning
from crossrank.integrations.haystack import CrossrankRanker
from crossrank.integrations.langchain import CrossEncoderReranker, HuggingFaceCrossEncoder
from crossrank.integrations.llama_index import CrossrankRerank
from crossrank.integrations.pyterrier import CrossrankTransformer

QUESTION = "Who bakes bread?"
LONG = "Trains run along the coast in summer. " * 100 + "Every night the bakers bake bread."
TEXTS = ["Tide tables are for sailors who know the coast and its bread.", LONG]


def haystack(model: CrossEncoder, **options: Any) -> str:
    documents = [HaystackDocument(content=text) for text in TEXTS]
    best = CrossrankRanker(model=model, **options).run(query=QUESTION, documents=documents)["documents"][0]
    return str(best.content)


def langchain(model: CrossEncoder, **options: Any) -> str:
    documents = [LangchainDocument(text) for text in TEXTS]
    reranker = CrossEncoderReranker(model=HuggingFaceCrossEncoder(), **options)
    return str(reranker.compress_documents(documents, QUESTION)[0].page_content)


def llama_index(model: CrossEncoder, **options: Any) -> str:
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]
    return str(CrossrankRerank(model, **options).postprocess_nodes(nodes, query_str=QUESTION)[0].text)


def pyterrier(model: CrossEncoder, **options: Any) -> str:
    rows = [["q", QUESTION, str(number), text] for number, text in enumerate(TEXTS)]
    frame = pd.DataFrame(rows, columns=["qid", "query", "docno", "text"])
    return str(CrossrankTransformer(model, **options)(frame)["text"].iloc[0])


ADAPTERS = [haystack, langchain, llama_index, pyterrier]


@pytest.mark.parametrize("rank", ADAPTERS)
def test_long_documents_are_read_whole_or_refused(rank: Callable[..., str], bundled: CrossEncoder) -> None:
    assert rank(bundled, on_truncation="ignore") == TEXTS[0]
    assert rank(bundled, long_documents="windows", on_truncation="error") == LONG
    with pytest.raises(InputError, match="tokens were not read"):
        rank(bundled, on_truncation="error")


@pytest.mark.parametrize("rank", [haystack, llama_index, pyterrier])
def test_truncation_is_warned_of_once(rank: Callable[..., str], bundled: CrossEncoder) -> None:
    with pytest.warns(TruncationWarning) as caught:
        rank(bundled)
    assert len(caught) == 1


def test_langchain_logs_it_once(bundled: CrossEncoder, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        langchain(bundled)
    assert [record.message for record in caplog.records if "tokens were not read" in record.message] == [
        record.message for record in caplog.records
    ]
    assert len(caplog.records) == 1


def test_options_are_written_down(bundled: CrossEncoder) -> None:
    ranker = CrossrankRanker(model=bundled, long_documents="windows", on_truncation="error")
    written = ranker.to_dict()["init_parameters"]
    assert (written["long_documents"], written["on_truncation"]) == ("windows", "error")
    plain = CrossrankRerank(bundled, long_documents="windows").to_dict()
    assert plain["long_documents"] == "windows"
