"""What is left out of a run, and what a word match is a share of then."""

from __future__ import annotations

from crossrank import Document
from crossrank.evaluation import Collection
from crossrank.evaluation.experiment import first_stage_run

_DOCUMENTS = (
    Document("1", "The tide comes twice a day."),
    Document("2", "Bread is baked of flour."),
    Document("3", "Flour is milled, and bread is not."),
)


def run(queries: dict[str, str], words: dict[str, dict[str, float]] | None = None) -> dict[str, list[str]]:
    collection = Collection("toy", _DOCUMENTS, queries, {query: {"1": 1} for query in queries})
    return {
        query: list(row) for query, row in first_stage_run(collection, "bm25", word_matches=words).items()
    }


def test_a_query_that_is_a_document_does_not_find_itself() -> None:
    matches: dict[str, dict[str, float]] = {}
    assert run({"2": "Bread is baked of flour."}, matches) == {"2": ["3"]}
    # A share of the best that may be found, not of the query's match with itself.
    assert matches == {"2": {"3": 1.0}}


def test_a_document_that_only_has_the_querys_number_is_found() -> None:
    assert run({"2": "what bread is baked of"})["2"][0] == "2"
    assert run({"1": "when does water come twice"})["1"] == ["1"]
