"""LangChain's own standard tests."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import (
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)
from langchain_tests.unit_tests import EmbeddingsUnitTests

from crossrank import Searcher
from crossrank.integrations.langchain import FAISS, CrossrankRetriever, HuggingFaceEmbeddings

Tests = TypeVar("Tests", bound=type)


def with_async(tests: Tests) -> Tests:
    """Mark what is asynchronous for pytest-asyncio, which leaves the others alone."""
    for name, function in inspect.getmembers(tests, inspect.iscoroutinefunction):
        if not any(mark.name == "asyncio" for mark in getattr(function, "pytestmark", [])):
            setattr(tests, name, pytest.mark.asyncio(function))
    return tests


class TestEmbeddingsUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return HuggingFaceEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model_name": "all-MiniLM-L6-v2", "model_kwargs": {"device": "cpu"}}


@with_async
class TestEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return HuggingFaceEmbeddings


@with_async
class TestVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self) -> VectorStore:
        return FAISS(self.get_embeddings())


@with_async
class TestRetriever(RetrieversIntegrationTests):
    searcher = Searcher(["Bees dance.", "Trains run at night.", "Bakers bake bread.", "Tides turn."])

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return CrossrankRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"searcher": self.searcher}

    @property
    def retriever_query_example(self) -> str:
        return "Who bakes bread?"

    @property
    def num_results_arg_name(self) -> str:
        return "top_n"


def test_a_retriever_over_a_searcher_gives_documents_with_all_scores() -> None:
    documents = [
        Document("Trains run at night.", id="t", metadata={"page": 1}),
        Document("Bakers bake bread.", id="b", metadata={"page": 2}),
    ]
    retriever = CrossrankRetriever.from_documents(documents, retrieval="lexical")
    (best,) = retriever.invoke("Who bakes bread?", top_n=1)
    assert (best.id, best.page_content, best.metadata["page"]) == ("b", "Bakers bake bread.", 2)
    assert best.metadata["relevance_score"] > 0.9
    assert best.metadata["first_stage_rank"] == 1
    assert best.metadata["first_stage_score"] > 0
    assert retriever.invoke("Who bakes bread?", score_threshold=1.0) == []
