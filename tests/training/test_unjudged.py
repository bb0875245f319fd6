from __future__ import annotations

import random

import pytest

from crossrank.documents import Document
from crossrank.evaluation.unjudged import make_question


@pytest.mark.parametrize(
    "text", ["", "word", "A sentence of some length stands here. And another one.", "a long word " * 200]
)
def test_a_question_can_be_made_of_any_passage(text: str) -> None:
    for seed in range(50):
        question = make_question(Document("1", text, title="Bees"), random.Random(seed))
        assert question.strip()
        assert len(question) <= 800
