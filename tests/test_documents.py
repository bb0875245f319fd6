"""The values that flow: made of what people have, and able to leave the process."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any

import numpy as np
import pytest

from crossrank import Candidate, Document, Hit, InputError, Ranking, Reranker, Searcher, Span, Window
from crossrank.documents import as_candidates, as_documents
from crossrank.inference.cross_encoder import CrossEncoder

TEXTS = ["Bakers rise early.", "A tide table.", "Trains run at night."]


@pytest.fixture(scope="module")
def ranking(bundled: CrossEncoder) -> Ranking:
    documents = [{"text": text, "url": f"{text[0]}.html", "meta": {"n": [1]}} for text in TEXTS]
    return Searcher(documents, model=bundled).search("When do bakers get up?")


def parts_of(ranking: Ranking) -> list[Any]:
    hit = ranking[0]
    spans = (Span(0, 18, 0.9, (Span(0, 6, 1.0),)),)
    explained = dataclasses.replace(hit, window=Window(0, 18, 1, 1), spans=spans)
    return [ranking, hit, hit.candidate, hit.document, explained]


@pytest.mark.parametrize("part", range(5))
def test_every_value_survives_pickle_and_deepcopy(ranking: Ranking, part: int) -> None:
    value = parts_of(ranking)[part]
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.deepcopy(value) == value
    assert hash(value) == hash(copy.copy(value))


@pytest.mark.parametrize("part", range(5))
def test_every_value_becomes_a_plain_dictionary(ranking: Ranking, part: int) -> None:
    value = parts_of(ranking)[part]
    plain = dataclasses.asdict(value)
    assert json.loads(json.dumps(plain)) == json.loads(json.dumps(dataclasses.asdict(copy.deepcopy(value))))


def test_values_without_anything_more_survive_too() -> None:
    for value in (Document("1", "a"), Candidate(Document("1", "a"), 1), Ranking("q", ())):
        assert pickle.loads(pickle.dumps(value)) == value
        assert dataclasses.asdict(value)


def test_hit_holds_its_candidate_which_holds_its_document(ranking: Ranking) -> None:
    hit = ranking[0]
    assert hit.document is hit.candidate.document
    assert hit.text == hit.document.text == TEXTS[0]


def test_further_keys_of_a_mapping_come_back_with_the_hit(ranking: Ranking) -> None:
    assert ranking[0].document.metadata == {"url": "B.html", "meta": {"n": [1]}}
    (document,) = as_documents(
        [{"_id": 7, "text": "a", "title": "t", "url": "u", "page": 1, "metadata": {"page": 2}}]
    )
    # What is said in metadata itself counts more.
    assert document == Document("7", "a", "t", {"url": "u", "page": 2})


def test_numbers_of_numpy_become_plain_in_json(bundled: CrossEncoder) -> None:
    evidence = {"word_match": np.float32(0.3)}
    candidate = Candidate(Document("1", TEXTS[0]), 1, np.float32(2.5), evidence=evidence)  # type: ignore[arg-type]
    (hit,) = Reranker(bundled).rank("When do bakers get up?", [candidate])
    plain = json.loads(json.dumps(hit.to_dict()))
    assert plain["candidate"]["score"] == 2.5
    assert plain["contributions"] == hit.contributions


def test_window_and_spans_are_in_the_json_of_a_hit(ranking: Ranking) -> None:
    plain = parts_of(ranking)[-1].to_dict()
    assert plain["window"] == {"start": 0, "end": 18, "number": 1, "count": 1}
    words = [{"start": 0, "end": 6, "weight": 1.0}]
    assert plain["spans"] == [{"start": 0, "end": 18, "weight": 0.9, "words": words}]
    assert (ranking[0].to_dict()["window"], ranking[0].to_dict()["spans"]) == (None, [])


def test_contributions_add_up_to_what_is_sorted_by(ranking: Ranking) -> None:
    sums = [sum(hit.contributions.values()) for hit in ranking]
    assert sums == [hit.combined_logit for hit in ranking]
    assert sums == sorted(sums, reverse=True)
    assert Hit(ranking[0].candidate, 1, None, None).combined_logit is None


def test_candidates_are_made_of_what_is_there() -> None:
    own = Candidate(Document("x", "own"), 9, 0.5)
    made = as_candidates([own, "text", {"id": "b", "text": "more"}, Document("c", "last")])
    assert made[0] is own
    assert [(one.rank, one.document.id, one.score) for one in made[1:]] == [
        (2, "1", None),
        (3, "b", None),
        (4, "c", None),
    ]
    with pytest.raises(InputError, match="a single string was given"):
        as_candidates("text")
    with pytest.raises(InputError, match="document 0 must be"):
        as_candidates([3])  # type: ignore[list-item]
