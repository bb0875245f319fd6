from __future__ import annotations

import pickle
import random
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from crossrank.documents import Candidate, Document
from crossrank.inference.pairs import Pair
from crossrank.inference.scorer import PairScorer
from crossrank.inference.scores import Scoring
from crossrank.ranking.reranker import Reranker
from crossrank.ranking.trust import kendall


class Given(PairScorer):
    """A model whose logits are the numbers that the passages are."""

    name, scripts, notices = "given", None, ()
    scoring = Scoring(1, 0, "sigmoid")

    def logits(
        self, pairs: Sequence[Pair], *, progress: object = None
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        return np.array([float(text) for _, text in pairs], np.float32), np.zeros(len(pairs), np.intp)

    def unknown_share(self, text: str) -> float:
        return 0.0


def candidates(logits: Sequence[float], *, score: bool = True) -> list[Candidate]:
    return [
        Candidate(Document(str(n), str(logit)), n + 1, -float(n) if score else None)
        for n, logit in enumerate(logits)
    ]


def notices(reranker: Reranker, logits: Sequence[float], **options: bool) -> tuple[str, ...]:
    return reranker.rank("q", candidates(logits, **options)).notices


def test_logits_that_are_all_alike_are_reported() -> None:
    alike = [1.0 + n / 10_000 for n in range(20)]
    assert "nearly the same logit (1.00)" in notices(Reranker(Given()), alike)[0]
    assert notices(Reranker(Given()), alike[:4]) == (), "few candidates may well be alike"
    assert notices(Reranker(Given()), [1.0] * 20) == (), "the same text always has the same logit"


def test_an_order_against_the_first_stage_is_noticed() -> None:
    rising = [float(n) for n in range(20)]
    assert "against the first stage (Kendall's tau -1.00)" in notices(Reranker(Given()), rising)[0]
    assert notices(Reranker(Given()), rising[::-1]) == ()
    assert notices(Reranker(Given()), rising, score=False) == (), "the caller's order may be any"


def test_agreement_no_better_than_chance_is_told_after_many_questions() -> None:
    chance, reranker = random.Random(1), Reranker(Given())
    found = [notices(reranker, [chance.random() for _ in range(20)]) for _ in range(40)]
    assert not any("no more than chance" in one for own in found[:29] for one in own)
    assert "over the last 40 questions, given agreed with the first stage no more than" in found[-1][0]


def test_a_model_that_agrees_a_little_is_trusted() -> None:
    chance, reranker = random.Random(1), Reranker(Given())
    for _ in range(40):
        assert notices(reranker, [-n / 20 + 1.2 * chance.random() for n in range(20)]) == ()


def test_a_reranker_can_be_pickled() -> None:
    assert notices(pickle.loads(pickle.dumps(Reranker(Given()))), [3.0, 2.0, 1.0]) == ()


def test_kendall_counts_pairs_in_the_same_and_in_the_other_order() -> None:
    tau, variance = kendall([1, 2, 3, 4], [1, 3, 2, 4])
    assert tau == pytest.approx((5 - 1) / 6)
    assert variance == pytest.approx(2 * 13 / (9 * 4 * 3))
