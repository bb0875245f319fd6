"""The same pair with the same evidence has the same score, whichever way it is asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from haystack import Document as HaystackDocument
from langchain_core.documents import Document as LangChainDocument
from llama_index.core.schema import NodeWithScore, TextNode

from crossrank import BiEncoder, Index, Reranker, Searcher
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.integrations.haystack import CrossrankRanker
from crossrank.integrations.langchain import (
    CrossEncoderReranker,
    CrossrankRetriever,
    HuggingFaceCrossEncoder,
)
from crossrank.integrations.llama_index import CrossrankRerank
from crossrank.integrations.pyterrier import CrossrankTransformer
from crossrank.retrieval.memory import MemoryRetriever

QUESTION = "When do bakers get up?"
TEXTS = [
    "Bakers rise at three to bake the bread.",
    "The tide comes twice a day.",
    "Trains run at night, and bakers may take them.",
    "Bees find flowers by day.",
]


@pytest.fixture(scope="module")
def embedder() -> BiEncoder:
    return BiEncoder()


def scores(hits: Any) -> dict[str, float]:
    return {hit.text: hit.score for hit in hits}


def test_without_evidence_every_way_gives_the_score_of_the_logit(bundled: CrossEncoder) -> None:
    expected = scores(Reranker(bundled).rank(QUESTION, TEXTS))

    predicted = bundled.predict([(QUESTION, text) for text in TEXTS])
    assert dict(zip(TEXTS, predicted, strict=True)) == expected  # type: ignore[arg-type]
    one_by_one = [Reranker(bundled).rank(QUESTION, [text])[0] for text in TEXTS]
    assert scores(one_by_one) == expected

    langchain = CrossEncoderReranker(model=HuggingFaceCrossEncoder(), top_n=None)
    documents = langchain.compress_documents([LangChainDocument(text) for text in TEXTS], QUESTION)
    assert {d.page_content: d.metadata["relevance_score"] for d in documents} == expected

    nodes = [NodeWithScore(node=TextNode(text=text), score=0.5) for text in TEXTS]
    found = CrossrankRerank(bundled, top_n=4).postprocess_nodes(nodes, query_str=QUESTION)
    assert {node.text: node.score for node in found} == expected

    ranked = CrossrankRanker(model=bundled).run(
        query=QUESTION, documents=[HaystackDocument(content=text) for text in TEXTS]
    )
    assert {d.content: d.score for d in ranked["documents"]} == expected

    frame = pd.DataFrame(
        [["q", QUESTION, str(place), text] for place, text in enumerate(TEXTS)],
        columns=["qid", "query", "docno", "text"],
    )
    frame = CrossrankTransformer(bundled, activation="sigmoid").transform(frame)
    assert dict(zip(frame["text"], frame["score"], strict=True)) == expected


@pytest.mark.parametrize("retrieval", ["hybrid", "dense", "lexical"])
def test_with_evidence_every_way_gives_the_score_of_the_sum(
    bundled: CrossEncoder, embedder: BiEncoder, retrieval: Any, tmp_path: Path
) -> None:
    reranker = Reranker(bundled)
    memory = MemoryRetriever(TEXTS, retrieval=retrieval, embedder=embedder)
    found = memory.retrieve(QUESTION, 10)
    expected = scores(reranker.rank(QUESTION, found))
    assert expected != scores(reranker.rank(QUESTION, [one.document for one in found]))

    # Not by what they are ranked with, nor by the order in which they come.
    ranking, _ = reranker.rank_many([(QUESTION, found[::-1]), ("What do bees do?", TEXTS)])
    assert scores(ranking) == expected
    assert scores(reranker.rank(QUESTION, found[:1])) == {
        found[0].document.text: expected[found[0].document.text]
    }

    searcher = Searcher(TEXTS, retrieval=retrieval, embedder=embedder, model=reranker)
    assert scores(searcher.search(QUESTION, top_n=None)) == expected
    assert scores(asyncio.run(searcher.asearch(QUESTION, top_n=None))) == expected

    for place, text in enumerate(TEXTS):
        (tmp_path / f"{place}.txt").write_text(text)
    index = Index(tmp_path / "index", embedder=embedder)
    index.add([tmp_path])
    kept = Searcher(index.retriever(retrieval=retrieval), model=reranker)
    assert scores(kept.search(QUESTION, top_n=None)) == expected

    langchain = CrossrankRetriever.from_documents(
        [LangChainDocument(text) for text in TEXTS],
        top_n=None,
        retrieval=retrieval,
        embedder=embedder,
        model=reranker,
    )
    documents = langchain.invoke(QUESTION)
    assert {d.page_content: d.metadata["relevance_score"] for d in documents} == expected
