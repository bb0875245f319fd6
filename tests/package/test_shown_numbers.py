"""The scores that the docs show are the bundled model's, as far as processors agree on them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from crossrank import CrossEncoder, Reranker
from crossrank.sagemaker.inference import transform_fn

ROOT = Path(__file__).parents[2]
# bfloat16 and int8 move a logit by some hundredths; another model moves it by much more.
LOGIT, SCORE = 0.4, 0.03


def shown(page: str) -> list[dict[str, Any]]:
    """The JSON objects that stand on a line of their own."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith('    {"') and "..." not in line]


def answer(model: CrossEncoder, request: dict[str, Any]) -> dict[str, Any]:
    body, _ = transform_fn(model, json.dumps(request), "application/json", "*/*")
    return dict(json.loads(body))


def test_the_page_on_sagemaker_shows_the_answers_to_what_it_sends(bundled: CrossEncoder) -> None:
    page = (ROOT / "docs" / "sagemaker.md").read_text(encoding="utf-8")
    sent = [json.loads(found) for found in re.findall(r"-d '(\{.*\})'", page)]
    objects = shown("docs/sagemaker.md")
    requests = sent + [value for value in objects if "scores" not in value]
    answers = [value for value in objects if "scores" in value]
    assert len(requests) == len(answers) == 2
    for request, expected in zip(requests, answers, strict=True):
        got = answer(bundled, request)
        assert got["scores"] == pytest.approx(expected["scores"], abs=LOGIT)
        for mine, theirs in zip(got.get("results", []), expected.get("results", []), strict=True):
            assert mine.pop("score") == pytest.approx(theirs.pop("score"), abs=LOGIT)
            assert mine == theirs


def test_the_page_on_scores_shows_the_hit_of_its_question(bundled: CrossEncoder) -> None:
    page = (ROOT / "docs" / "scores.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    ranking = json.loads(block)
    hit = Reranker(bundled).rank(ranking["query"], ["A tide table.", ranking["hits"][0]["text"]])[0]
    assert hit.logit == pytest.approx(ranking["hits"][0]["logit"], abs=LOGIT)
    assert hit.score == pytest.approx(ranking["hits"][0]["score"], abs=SCORE)
