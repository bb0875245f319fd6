from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.retrieval.base import FirstStage, Similarity
from crossrank.retrieval.bm25 import BM25Index
from crossrank.retrieval.dense import DenseIndex
from crossrank.retrieval.first_stage import DenseFirstStage, HybridFirstStage, LexicalFirstStage
from crossrank.retrieval.fusion import reciprocal_rank_fusion


class HashedWords:
    """A bi-encoder without a model: each word counts in one of 64 places, and synonyms share theirs."""

    similarity: Similarity = "cosine"
    synonyms = {"automobile": "car", "feline": "cat"}  # noqa: RUF012

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def encode_queries(self, texts: list[str]) -> NDArray[np.float32]:
        self.calls.append(texts)
        return self.encode_documents(texts)

    def encode_documents(
        self, texts: list[str], *, progress: Callable[[int], object] | None = None
    ) -> NDArray[np.float32]:
        if progress:
            progress(len(texts))
        vectors = np.zeros((len(texts), 64), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word in text.lower().split():
                vector[crc32(self.synonyms.get(word, word).encode()) % 64] += 1
        return vectors


DOCUMENTS = [
    Document("a", "automobile repair"),
    Document("b", "feline food"),
    Document("c", "car wash"),
    Document("d", "open all day", title="cat shelter"),
]


def first_stages(documents: list[Document]) -> list[FirstStage]:
    bi_encoder = HashedWords()
    return [
        LexicalFirstStage(documents),
        DenseFirstStage(documents, bi_encoder),
        HybridFirstStage(documents, bi_encoder),
    ]


def test_lexical_finds_words_only() -> None:
    assert [c.position for c in LexicalFirstStage(DOCUMENTS).search("car", 4)] == [2]


def test_dense_finds_what_the_model_holds_near() -> None:
    assert {c.position for c in DenseFirstStage(DOCUMENTS, HashedWords()).search("car", 2)} == {0, 2}


def test_titles_are_searched() -> None:
    for first_stage in first_stages(DOCUMENTS):
        assert first_stage.search("shelter", 1)[0].position == 3


def test_hybrid_fuses_both_to_rank_100_and_cuts_at_k() -> None:
    # A passage beyond k in each of the two can still be the best of both.
    documents = [
        Document(str(n), f"{'car ' * (n % 7)}{'automobile ' * (n % 5)}{'road ' * (n % 11)}")
        for n in range(300)
    ]
    bi_encoder = HashedWords()
    lexical = BM25Index([document.text for document in documents]).search("car road", 100)
    query, *vectors = bi_encoder.encode_documents(["car road", *(document.text for document in documents)])
    dense = DenseIndex(np.array(vectors), similarity="cosine").search_vector(query, 100)
    fused = reciprocal_rank_fusion({"lexical": lexical, "dense": dense})
    first_stage = HybridFirstStage(documents, bi_encoder)
    found = first_stage.search("car road", 5)
    assert [(c.position, c.score) for c in found] == [(c.position, c.score) for c in fused[:5]]
    assert fused[:5] != reciprocal_rank_fusion({"lexical": lexical[:5], "dense": dense[:5]})[:5]
    assert len(first_stage.search("car road", 250)) == 250


def test_search_many_gives_what_search_gives() -> None:
    queries = ["car", "food for a feline", "?", "cat shelter"] * 10
    for first_stage in first_stages(DOCUMENTS):
        assert first_stage.search_many(queries, 3) == [first_stage.search(query, 3) for query in queries]
        assert first_stage.search_many([], 3) == []


def test_search_many_encodes_its_queries_together() -> None:
    bi_encoder = HashedWords()
    DenseFirstStage(DOCUMENTS, bi_encoder).search_many(["car", "cat"], 2)
    HybridFirstStage(DOCUMENTS, bi_encoder).search_many(("car", "cat"), 2)
    assert bi_encoder.calls == [["car", "cat"]] * 2


@pytest.mark.parametrize("kind", [DenseFirstStage, HybridFirstStage])
def test_progress_hears_of_every_passage(kind: type[DenseFirstStage | HybridFirstStage]) -> None:
    done: list[int] = []
    kind(DOCUMENTS, HashedWords(), progress=done.append)
    assert sum(done) == len(DOCUMENTS)


def test_dense_compares_as_the_model_says() -> None:
    documents = [Document("long", "cat cat cat cat dog"), Document("short", "cat")]
    bi_encoder = HashedWords()
    similarities: list[Similarity] = ["cosine", "dot", "euclidean"]
    orders = []
    for bi_encoder.similarity in similarities:
        orders.append([c.position for c in DenseFirstStage(documents, bi_encoder).search("cat", 2)])
    assert orders == [[1, 0], [0, 1], [1, 0]]


def test_no_documents_give_no_candidates() -> None:
    for first_stage in first_stages([]):
        assert first_stage.search("car", 5) == []


@pytest.mark.parametrize("k", [0, -1])
def test_fewer_than_one_candidate_is_refused(k: int) -> None:
    for first_stage in first_stages(DOCUMENTS):
        with pytest.raises(InputError, match="at least 1"):
            first_stage.search("car", k)


def test_every_candidate_of_vectors_has_its_similarity() -> None:
    bi_encoder = HashedWords()
    dense = DenseFirstStage(DOCUMENTS, bi_encoder)
    hybrid = HybridFirstStage(DOCUMENTS, bi_encoder)
    known = {candidate.position: candidate.score for candidate in dense.search("car", len(DOCUMENTS))}
    assert all(candidate.similarity == candidate.score for candidate in dense.search("car", 3))
    found = hybrid.search("car", len(DOCUMENTS))
    assert {candidate.position: candidate.similarity for candidate in found} == pytest.approx(known)
    assert all(candidate.similarity is None for candidate in LexicalFirstStage(DOCUMENTS).search("car", 3))
