"""Ours as parts of LangChain's chains: LCEL, callbacks, and langchain_classic's own classes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any
from uuid import UUID

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever as LangChainCompressionRetriever
from langchain_classic.retrievers.document_compressors import (
    CrossEncoderReranker as LangChainCrossEncoderReranker,
)
from langchain_classic.retrievers.document_compressors import DocumentCompressorPipeline
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel, RunnablePassthrough

from crossrank.integrations.langchain import (
    FAISS,
    ContextualCompressionRetriever,
    CrossEncoderReranker,
    HuggingFaceCrossEncoder,
    HuggingFaceEmbeddings,
)

QUERY = "Who bakes bread?"
TEXTS = ["A tide table.", "Trains run at night.", "Bakers bake bread.", "Bees dance."]


class Recorder(BaseCallbackHandler):
    """The names of runs, and of those that they belong to."""

    def __init__(self) -> None:
        self.names: dict[UUID, str] = {}
        self.runs: list[tuple[str, str | None]] = []
        self.ended = 0
        self.errors: list[BaseException] = []

    def _start(self, run_id: UUID, parent_run_id: UUID | None, name: str) -> None:
        self.names[run_id] = name
        self.runs.append((name, self.names.get(parent_run_id) if parent_run_id else None))

    def on_retriever_start(
        self, serialized: Any, query: str, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        self._start(run_id, parent_run_id, kwargs["name"])

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        self._start(run_id, parent_run_id, kwargs["name"])

    def on_retriever_end(self, documents: Any, **kwargs: Any) -> None:
        self.ended += 1

    def on_retriever_error(self, error: BaseException, **kwargs: Any) -> None:
        self.errors.append(error)


@pytest.fixture(scope="module")
def reranker() -> CrossEncoderReranker:
    return CrossEncoderReranker(model=HuggingFaceCrossEncoder(), top_n=2)


@pytest.fixture(scope="module")
def store() -> FAISS:
    return FAISS.from_texts(TEXTS, HuggingFaceEmbeddings())


@pytest.fixture(scope="module")
def retriever(reranker: CrossEncoderReranker, store: FAISS) -> ContextualCompressionRetriever:
    found = store.as_retriever(search_kwargs={"k": 4})
    return ContextualCompressionRetriever(base_compressor=reranker, base_retriever=found)


def test_a_chain_in_langchain_s_expression_language_runs(retriever: ContextualCompressionRetriever) -> None:
    joined = RunnableLambda(lambda documents: " ".join(d.page_content for d in documents[:1]))
    chain: Runnable[str, dict[str, str]] = RunnableParallel(
        context=retriever.with_retry(stop_after_attempt=2) | joined,
        question=RunnablePassthrough(),
    )
    expected = {"context": "Bakers bake bread.", "question": QUERY}
    assert chain.with_config(run_name="chain", tags=["test"]).invoke(QUERY) == expected
    assert asyncio.run(chain.ainvoke(QUERY)) == expected
    assert chain.batch([QUERY, QUERY]) == [expected, expected]
    assert list(chain.stream(QUERY))


def test_all_ways_of_asking_give_the_same(retriever: ContextualCompressionRetriever) -> None:
    once = retriever.invoke(QUERY)
    assert once[0].page_content == "Bakers bake bread."
    assert asyncio.run(retriever.ainvoke(QUERY)) == once
    assert retriever.batch([QUERY, QUERY]) == [once, once]
    assert asyncio.run(retriever.abatch([QUERY, QUERY])) == [once, once]


def test_callbacks_see_each_step_below_the_retriever(retriever: ContextualCompressionRetriever) -> None:
    expected = [
        ("my search", None),
        ("VectorStoreRetriever", "my search"),
        ("CrossEncoderReranker", "my search"),
    ]
    seen, seen_async = Recorder(), Recorder()
    retriever.with_config(run_name="my search").invoke(QUERY, config={"callbacks": [seen]})
    asyncio.run(retriever.ainvoke(QUERY, config={"callbacks": [seen_async], "run_name": "my search"}))
    assert seen.runs == seen_async.runs == expected
    assert seen.ended == seen_async.ended == 2


def test_callbacks_see_errors(retriever: ContextualCompressionRetriever) -> None:
    def fail(query: str) -> list[Document]:
        raise ConnectionError("gone")

    failing = retriever.model_copy(update={"base_retriever": RunnableLambda(fail)})
    seen = Recorder()
    with pytest.raises(ConnectionError, match="gone"):
        failing.invoke(QUERY, config={"callbacks": [seen]})
    assert [str(error) for error in seen.errors] == ["gone"]


def test_a_retry_after_a_failure_succeeds(reranker: CrossEncoderReranker) -> None:
    attempts = []

    def flaky(query: str) -> list[Document]:
        attempts.append(query)
        if len(attempts) == 1:
            raise ConnectionError("gone")
        return [Document("Bakers bake bread.")]

    retriever = ContextualCompressionRetriever(
        base_compressor=reranker, base_retriever=RunnableLambda(flaky)
    ).with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    assert len(retriever.invoke(QUERY)) == 1
    assert len(attempts) == 2


def test_nothing_found_gives_nothing(reranker: CrossEncoderReranker) -> None:
    def nothing(query: str) -> list[Document]:
        return []

    retriever = ContextualCompressionRetriever(
        base_compressor=reranker, base_retriever=RunnableLambda(nothing)
    )
    assert retriever.invoke(QUERY) == []
    assert asyncio.run(retriever.ainvoke(QUERY)) == []


def test_settings_are_dumped(retriever: ContextualCompressionRetriever) -> None:
    dumped = retriever.model_dump()
    assert dumped["base_compressor"]["top_n"] == 2
    assert dumped["base_compressor"]["model"]["model_kwargs"] == {}
    model = HuggingFaceCrossEncoder(model_kwargs={"device": "cpu"})
    assert HuggingFaceCrossEncoder(**model.model_dump()) == model
    embeddings = HuggingFaceEmbeddings(encode_kwargs={"normalize_embeddings": True})
    assert HuggingFaceEmbeddings(**embeddings.model_dump()) == embeddings


def test_ours_runs_inside_langchain_s_compression_retriever(
    reranker: CrossEncoderReranker, store: FAISS, retriever: ContextualCompressionRetriever
) -> None:
    theirs = LangChainCompressionRetriever(
        base_compressor=reranker, base_retriever=store.as_retriever(search_kwargs={"k": 4})
    )
    assert theirs.invoke(QUERY) == retriever.invoke(QUERY)
    assert asyncio.run(theirs.ainvoke(QUERY)) == retriever.invoke(QUERY)
    pipeline = DocumentCompressorPipeline(transformers=[reranker])
    assert pipeline.compress_documents([Document(text) for text in TEXTS], QUERY)


def test_langchain_s_reranker_runs_inside_ours(
    reranker: CrossEncoderReranker, retriever: ContextualCompressionRetriever
) -> None:
    theirs = LangChainCrossEncoderReranker(model=reranker.model, top_n=2)
    mixed = retriever.model_copy(update={"base_compressor": theirs})
    assert [d.page_content for d in mixed.invoke(QUERY)] == [d.page_content for d in retriever.invoke(QUERY)]


def test_neither_pytorch_nor_other_langchain_packages_are_imported() -> None:
    code = (
        "import sys; import crossrank.integrations.langchain; "
        "unwanted = {'torch', 'transformers', 'langchain_classic', 'langchain_community'}; "
        "print(sorted(unwanted & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_library_is_named_with_its_extra() -> None:
    code = (
        "import sys; sys.modules['langchain_core'] = None\n"
        "from crossrank import MissingExtraError\n"
        "try:\n    import crossrank.integrations.langchain\n"
        "except MissingExtraError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "crossrank[langchain]" in done.stdout
