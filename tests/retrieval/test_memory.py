from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from crossrank.documents import Candidate, Document
from crossrank.errors import InputError
from crossrank.inference import Similarity
from crossrank.retrieval.base import Retrieval
from crossrank.retrieval.bm25 import BM25Index
from crossrank.retrieval.dense import DenseIndex
from crossrank.retrieval.fusion import reciprocal_rank_fusion
from crossrank.retrieval.memory import MemoryRetriever


class HashedWords:
    """A bi-encoder without a model: each word counts in one of 64 places, and synonyms share theirs."""

    similarity: Similarity = "cosine"
    fingerprint = "hashed words"
    synonyms = {"automobile": "car", "feline": "cat"}  # noqa: RUF012

    def encode_queries(self, texts: list[str]) -> NDArray[np.float32]:
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
RETRIEVALS: tuple[Retrieval, ...] = get_args(Retrieval)


def retriever(documents: list[Document], retrieval: Retrieval) -> MemoryRetriever:
    return MemoryRetriever(documents, retrieval=retrieval, embedder=HashedWords())


def ids(candidates: list[Candidate]) -> list[str]:
    return [candidate.document.id for candidate in candidates]


def test_lexical_finds_words_only_and_needs_no_embedder() -> None:
    assert ids(MemoryRetriever(DOCUMENTS, retrieval="lexical").retrieve("car", 4)) == ["c"]


@pytest.mark.parametrize("retrieval", ["hybrid", "dense"])
def test_vectors_need_an_embedder(retrieval: Retrieval) -> None:
    with pytest.raises(InputError, match=r"needs an embedder, such as BiEncoder\(\)"):
        MemoryRetriever(DOCUMENTS, retrieval=retrieval)


def test_dense_finds_what_the_model_holds_near() -> None:
    assert set(ids(retriever(DOCUMENTS, "dense").retrieve("car", 2))) == {"a", "c"}


@pytest.mark.parametrize("retrieval", RETRIEVALS)
def test_titles_are_searched(retrieval: Retrieval) -> None:
    assert ids(retriever(DOCUMENTS, retrieval).retrieve("shelter", 1)) == ["d"]


@pytest.mark.parametrize("retrieval", RETRIEVALS)
def test_ranks_count_from_1(retrieval: Retrieval) -> None:
    found = retriever(DOCUMENTS, retrieval).retrieve("car food cat", 10)
    assert [candidate.rank for candidate in found] == list(range(1, len(found) + 1))


def test_hybrid_fuses_both_to_rank_100_and_cuts_at_k() -> None:
    # A passage beyond k in each of the two can still be the best of both.
    documents = [
        Document(str(n), f"{'car ' * (n % 7)}{'automobile ' * (n % 5)}{'road ' * (n % 11)}")
        for n in range(300)
    ]
    embedder = HashedWords()
    lexical = [p for p, _ in BM25Index([document.text for document in documents]).search("car road", 100)]
    query, *vectors = embedder.encode_documents(["car road", *(document.text for document in documents)])
    # By similarities as they are exactly: many are equal here.
    near = DenseIndex(np.array(vectors), similarity="cosine").similarities(query, range(300))
    dense = sorted(near, key=lambda place: (-near[place], place))[:100]
    fused = reciprocal_rank_fusion({"lexical": lexical, "dense": dense})
    hybrid = retriever(documents, "hybrid")
    found = hybrid.retrieve("car road", 5)
    assert [(c.document.id, c.score, c.stage_ranks) for c in found] == [
        (str(passage), score, ranks) for passage, score, ranks in fused[:5]
    ]
    assert fused[:5] != reciprocal_rank_fusion({"lexical": lexical[:5], "dense": dense[:5]})[:5]
    assert len(hybrid.retrieve("car road", 250)) == 250


@pytest.mark.parametrize("retrieval", ["hybrid", "dense"])
def test_progress_hears_of_every_passage(retrieval: Retrieval) -> None:
    done: list[int] = []
    MemoryRetriever(DOCUMENTS, retrieval=retrieval, embedder=HashedWords(), progress=done.append)
    assert sum(done) == len(DOCUMENTS)


def test_dense_compares_as_the_model_says() -> None:
    documents = [Document("long", "cat cat cat cat dog"), Document("short", "cat")]
    embedder = HashedWords()
    similarities: list[Similarity] = ["cosine", "dot", "euclidean"]
    orders = []
    for embedder.similarity in similarities:
        dense = MemoryRetriever(documents, retrieval="dense", embedder=embedder)
        orders.append(ids(dense.retrieve("cat", 2)))
    assert orders == [["short", "long"], ["long", "short"], ["short", "long"]]


@pytest.mark.parametrize("retrieval", RETRIEVALS)
def test_no_documents_give_no_candidates(retrieval: Retrieval) -> None:
    assert retriever([], retrieval).retrieve("car", 5) == []


@pytest.mark.parametrize("k", [0, -1])
@pytest.mark.parametrize("retrieval", RETRIEVALS)
def test_fewer_than_one_candidate_is_refused(retrieval: Retrieval, k: int) -> None:
    with pytest.raises(InputError, match="at least 1"):
        retriever(DOCUMENTS, retrieval).retrieve("car", k)


def test_filters_need_an_index() -> None:
    with pytest.raises(InputError, match="crossrank index add"):
        retriever(DOCUMENTS, "lexical").retrieve("car", 1, filters="year=1")


@pytest.mark.parametrize("retrieval", ["words", "bm25", ""])
def test_there_are_three_ways_to_retrieve(retrieval: Any) -> None:
    with pytest.raises(InputError, match="retrieval must be one of hybrid, dense, lexical"):
        retriever(DOCUMENTS, retrieval)


@pytest.mark.parametrize("retrieval", ["hybrid", "dense"])
def test_every_candidate_of_vectors_has_its_similarity_and_says_whose_it_is(retrieval: Retrieval) -> None:
    dense = retriever(DOCUMENTS, "dense").retrieve("car", len(DOCUMENTS))
    known = {candidate.document.id: candidate.score for candidate in dense}
    found = retriever(DOCUMENTS, retrieval).retrieve("car", len(DOCUMENTS))
    assert {candidate.document.id: candidate.evidence["similarity"] for candidate in found} == known
    assert {candidate.embedder for candidate in found} == {HashedWords.fingerprint}


def test_words_alone_have_no_similarity() -> None:
    (candidate,) = retriever(DOCUMENTS, "lexical").retrieve("car", 3)
    assert candidate.evidence == {"word_match": 1.0}
    assert candidate.embedder == ""


def test_every_candidate_has_its_word_match_whichever_way_it_was_found() -> None:
    documents = [Document("a", "red car"), Document("b", "red boat"), Document("c", "green tree")]
    for retrieval in RETRIEVALS:
        found = retriever(documents, retrieval).retrieve("red boat", 3)
        matches = {candidate.document.id: candidate.evidence["word_match"] for candidate in found}
        assert matches.pop("b") == 1.0
        assert 0 < matches.pop("a") < 1
        assert matches in ({}, {"c": 0.0})
