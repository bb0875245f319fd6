from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.inference import Similarity
from crossrank.retrieval.dense import DenseIndex

SIMILARITIES: list[Similarity] = ["cosine", "dot", "euclidean"]


def random_vectors(n: int, d: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def expected_scores(
    vectors: NDArray[np.float32], query: NDArray[np.float32], similarity: str
) -> NDArray[np.float64]:
    exact, vector = vectors.astype(np.float64), query.astype(np.float64)
    if similarity == "euclidean":
        return -np.asarray(np.linalg.norm(exact - vector, axis=1))
    dot = exact @ vector
    return dot if similarity == "dot" else dot / (np.linalg.norm(exact, axis=1) * np.linalg.norm(vector))


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("k", [1, 10, 150])
def test_search_gives_the_nearest_by_the_similarity(similarity: Similarity, k: int) -> None:
    vectors, query = random_vectors(300, 24), random_vectors(1, 24, seed=1)[0]
    scores = expected_scores(vectors, query, similarity)
    found = DenseIndex(vectors, similarity=similarity).search(query, k)
    assert [passage for passage, _ in found] == np.argsort(-scores)[:k].tolist()
    assert [score for _, score in found] == pytest.approx(np.sort(scores)[::-1][:k], abs=1e-5)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("k", [1, 3, 120, 500])
def test_equal_scores_are_ordered_and_cut_by_position(similarity: Similarity, k: int) -> None:
    best, other = random_vectors(2, 16)
    vectors = np.concatenate([other[np.newaxis], np.repeat(best[np.newaxis], 500, axis=0)])
    found = DenseIndex(vectors, similarity=similarity).search(best, k)
    assert [passage for passage, _ in found] == list(range(1, k + 1))


@pytest.mark.parametrize("similarity", ["dot", "euclidean"])
@pytest.mark.parametrize("k", [5, 20, 120])
def test_ties_for_the_last_place_go_to_the_lowest_positions(similarity: Similarity, k: int) -> None:
    # Small whole numbers make many ties and exact scores.
    random = np.random.default_rng(0)
    vectors = random.integers(-2, 3, size=(20_000, 4)).astype(np.float32)
    index = DenseIndex(vectors, similarity=similarity)
    for query in random.integers(-2, 3, size=(10, 4)).astype(np.float32):
        best = np.argsort(-expected_scores(vectors, query, similarity), kind="stable")[:k]
        assert [passage for passage, _ in index.search(query, k)] == best.tolist()


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_similarities_of_given_passages_are_those_that_the_search_finds(similarity: Similarity) -> None:
    vectors, query = random_vectors(50, 24), random_vectors(1, 24, seed=1)[0]
    index = DenseIndex(vectors, similarity=similarity)
    found = dict(index.search(query, 50))
    assert index.similarities(query, [7, 3]) == pytest.approx({7: found[7], 3: found[3]}, abs=1e-5)
    # Bit for bit the same, whatever it is computed together with.
    assert index.similarities(query, range(50))[7] == index.similarities(query, [7])[7]
    assert index.similarities(query, []) == {}


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_input_is_not_changed(similarity: Similarity) -> None:
    vectors = random_vectors(5, 4)
    query = 2 * vectors[0]
    before, query_before = vectors.copy(), query.copy()
    index = DenseIndex(vectors, similarity=similarity)
    index.search(query, 2)
    np.testing.assert_array_equal(vectors, before)
    np.testing.assert_array_equal(query, query_before)
    found = index.search(query, 5)
    vectors[:] = 0
    assert index.search(query, 5) == found


def test_cosine_ignores_lengths_however_large_or_small() -> None:
    vectors = np.array([[1e30, 0], [0, 1e-30], [3, 3]], dtype=np.float32)
    found = DenseIndex(vectors, similarity="cosine").search(np.array([1e-20, 0], dtype=np.float32), 3)
    assert [passage for passage, _ in found] == [0, 2, 1]
    assert [score for _, score in found] == pytest.approx([1, 0.5**0.5, 0])


def test_zero_vector_has_cosine_zero() -> None:
    index = DenseIndex(np.array([[0, 0], [1, 0]], dtype=np.float32), similarity="cosine")
    assert index.search(np.array([1, 0], dtype=np.float32), 2) == [
        (1, 1.0),
        (0, 0.0),
    ]


def test_more_candidates_than_vectors_gives_all() -> None:
    found = DenseIndex(np.eye(3, dtype=np.float32), similarity="dot").search(np.ones(3, dtype=np.float32), 99)
    assert [passage for passage, _ in found] == [0, 1, 2]


@pytest.mark.parametrize("dimension", [0, 4])
def test_empty_index_finds_nothing(dimension: int) -> None:
    index = DenseIndex(np.empty((0, dimension), dtype=np.float32), similarity="cosine")
    assert index.search(np.ones(4, dtype=np.float32), 3) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_vectors_that_are_not_finite_are_refused(similarity: Similarity, bad: float) -> None:
    vectors = np.ones((3, 2), dtype=np.float32)
    index = DenseIndex(vectors, similarity=similarity)
    vectors[1, 1] = bad
    with pytest.raises(InputError, match="vector 1 holds NaN or infinity"):
        DenseIndex(vectors, similarity=similarity)
    with pytest.raises(InputError, match="NaN or infinity"):
        index.search(vectors[1], 1)


def test_other_dimension_is_refused_with_both_numbers() -> None:
    index = DenseIndex(np.ones((3, 2), dtype=np.float32), similarity="dot")
    with pytest.raises(InputError, match=r"\[2\].*\[5\]"):
        index.search(np.ones(5, dtype=np.float32), 1)


def test_vectors_that_are_no_matrix_are_refused() -> None:
    with pytest.raises(InputError, match=r"\[n, d\].*\[3\]"):
        DenseIndex(np.ones(3, dtype=np.float32), similarity="dot")


@pytest.mark.parametrize("k", [0, -1])
def test_fewer_than_one_candidate_is_refused(k: int) -> None:
    with pytest.raises(InputError, match="at least 1"):
        DenseIndex(np.ones((1, 1), dtype=np.float32), similarity="dot").search(
            np.ones(1, dtype=np.float32), k
        )
