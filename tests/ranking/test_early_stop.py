"""Reading stops when the best are known, for certain (full) or in all likelihood (fast)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from crossrank.documents import SIMILARITY, WORD_MATCH, Candidate, Document
from crossrank.errors import InputError
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.interpolation import EvidenceWeights, Interpolation, LogitForecast
from crossrank.ranking.early_stop import EarlyStop
from crossrank.ranking.reranker import Reranker

FORECAST = LogitForecast(slope=0.5, spread=0.4, tail=((0.0, 0.5), (2.0, 0.02), (4.0, 0.0001)))
WEIGHTS = EvidenceWeights(
    logit=0.75, constant=-5.0, similarity=7.0, word_match=2.0, doubt=0.1, forecast=FORECAST
)
EMBEDDER = "the embedder"


class Known(CrossEncoder):
    """The bundled model, but each passage is its own logit."""

    read: list[str]

    def logits(self, pairs: Sequence[Any], *, progress: Any = None) -> tuple[NDArray[Any], NDArray[Any]]:
        self.read += [passage for _, passage in pairs]
        if progress:
            progress(len(pairs))
        return np.array([float(passage) for _, passage in pairs], np.float32), np.zeros(len(pairs), np.intp)


@pytest.fixture(scope="module")
def known() -> Known:
    model = Known(threads=2)
    model.interpolation = Interpolation("embedder", EMBEDDER, (WEIGHTS,))
    return model


def candidates(rows: Sequence[tuple[float, float, float]]) -> list[Candidate]:
    """Of (logit, similarity, word match)."""
    return [
        Candidate(
            Document(str(rank), str(logit)),
            rank,
            evidence={SIMILARITY: similarity, WORD_MATCH: match},
            embedder=EMBEDDER,
        )
        for rank, (logit, similarity, match) in enumerate(rows, start=1)
    ]


def drawn(number: int, seed: int) -> list[tuple[float, float, float]]:
    """Logits that follow the evidence, more or less."""
    dice = np.random.default_rng(seed)
    similarity, match = dice.normal(0.4, 0.12, number), dice.beta(1, 6, number)
    logits = dice.normal(6 * similarity + 2 * match - 3, 1.0)
    return [tuple(map(float, row)) for row in zip(logits.round(3), similarity, match, strict=True)]


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(9, 60), st.booleans())
def test_full_effort_gives_the_hits_of_reading_all(
    known: Known, seed: int, top_n: int, number: int, ties: bool
) -> None:
    rows = drawn(number, seed)
    if ties:
        rows = [(round(a), round(b, 1), round(c, 1)) for a, b, c in rows]
    known.read = []
    everything = Reranker(known).rank("query", candidates(rows))
    ranking = Reranker(known).rank("query", candidates(rows), top_n=top_n)
    assert ranking.hits == everything.hits[:top_n]
    assert ranking.scored <= everything.scored == number


def test_full_effort_reads_less_if_the_evidence_is_clear(known: Known) -> None:
    known.read = []
    rows = [(3.0, 0.9, 1.0)] * 5 + [(-3.0, 0.1, 0.0)] * 95
    done: list[int] = []
    ranking = Reranker(known).rank("query", candidates(rows), top_n=3, progress=done.append)
    assert ranking.scored == len(known.read) == 8
    assert sum(done) == 100
    assert [hit.candidate.rank for hit in ranking] == [1, 2, 3]


def test_strongest_evidence_is_read_first_wherever_it_stands(known: Known) -> None:
    known.read = []
    rows = [(-1.0, 0.2, 0.0)] * 90 + [(2.0, 0.9, 1.0)] * 8
    ranking = Reranker(known).rank("query", candidates(rows), top_n=3)
    assert known.read == ["2.0"] * 8
    assert [hit.candidate.rank for hit in ranking] == [91, 92, 93]


def test_fast_effort_reads_less_and_seldom_misses(known: Known) -> None:
    read = {"full": 0, "fast": 0}
    missed = 0
    for seed in range(100):
        rows = candidates(drawn(100, seed))
        exact = Reranker(known).rank("query", rows, top_n=3)
        fast = Reranker(known).rank("query", rows, top_n=3, effort="fast")
        read["full"] += exact.scored
        read["fast"] += fast.scored
        missed += exact.hits != fast.hits
    assert read["fast"] < 0.8 * read["full"]
    assert read["full"] < 0.8 * 100 * 100
    assert missed <= 5


def test_many_queries_are_read_side_by_side(known: Known) -> None:
    asked = [(f"query {seed}", candidates(drawn(20 + 3 * seed, seed))) for seed in range(12)]
    one_by_one = [Reranker(known).rank(query, rows, top_n=2) for query, rows in asked]
    together = Reranker(known).rank_many(asked, top_n=2)
    assert [(r.hits, r.scored) for r in together] == [(r.hits, r.scored) for r in one_by_one]


@pytest.mark.parametrize("change", [{"doubt": 0.0}, {"logit": -0.5}])
def test_without_a_bound_all_are_read(known: Known, change: dict[str, float]) -> None:
    model = Known(threads=2)
    model.interpolation = Interpolation("embedder", EMBEDDER, (replace(WEIGHTS, **change),))
    model.read = []
    ranking = Reranker(model).rank("query", candidates(drawn(50, 1)), top_n=1, effort="fast")
    assert ranking.scored == 50


def test_fast_without_evidence_is_full_and_says_so(bundled: CrossEncoder) -> None:
    ranking = Reranker(bundled).rank("Who bakes?", ["Bakers bake."] * 30, top_n=1, effort="fast")
    assert ranking.scored == 30
    [notice] = ranking.notices
    assert notice.startswith("effort='fast' reads no less than 'full' here")


def test_effort_that_is_none_is_refused(bundled: CrossEncoder) -> None:
    with pytest.raises(InputError, match="effort must be one of full, fast; it is 'slow'"):
        Reranker(bundled).rank("Who bakes?", ["Bakers bake."], effort="slow")  # type: ignore[arg-type]


def test_evidence_that_is_no_number_is_refused_though_it_would_not_be_read(known: Known) -> None:
    rows = [*drawn(40, 3), (0.0, math.nan, 0.0)]
    with pytest.raises(InputError, match="not a finite number"):
        Reranker(known).rank("query", candidates(rows), top_n=1)


def test_equal_sums_keep_first_stage_order_across_what_was_read() -> None:
    weights = EvidenceWeights(logit=1.0, constant=0.0, similarity=1.0, doubt=0.25)
    top = math.log(3)
    # The second has to be read: with the largest logit it is level with the first.
    stop = EarlyStop(weights, [{SIMILARITY: 2.0 - top}, {SIMILARITY: 2.0}], top_n=1, block=1)
    read = []
    for block in stop.blocks():
        read += block
        stop.add(block, [0.0 for _ in block])
    assert read == [1, 0]


def test_bundled_model_has_forecasts_for_all_its_weights(bundled: CrossEncoder) -> None:
    assert bundled.interpolation is not None
    for weights in bundled.interpolation.weights:
        assert weights.is_bounded
        assert weights.forecast is not None
        assert weights.forecast.slope > 0


@pytest.mark.parametrize(
    "change",
    [
        {"spread": 0.0},
        {"slope": math.nan},
        {"tail": ((2.0, 0.1), (1.0, 0.2))},
        {"tail": ((1.0, 0.0),)},
        {"tail": ()},
    ],
)
def test_forecast_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"tail|spread|unpack"):
        replace(FORECAST, **change)
