"""What benchmarks/no_harm.py measures on."""

from __future__ import annotations

from benchmarks.no_harm import drawn

from crossrank import Document
from crossrank.evaluation import Collection


def test_a_reduced_collection_keeps_what_is_relevant_to_its_queries() -> None:
    documents = tuple(Document(f"d{number}", f"Text {number}.") for number in range(50))
    queries = {f"q{number}": f"Question {number}?" for number in range(10)}
    qrels = {f"q{number}": {f"d{number}": 1, f"d{number + 20}": 0} for number in range(10)}
    collection = Collection("made", documents, queries, qrels)
    small = drawn(collection, 4, 8)
    assert len(small.queries) == 4
    assert small.qrels == {query: qrels[query] for query in small.queries}
    assert len(small.documents) == 8
    names = {document.id for document in small.documents}
    assert {query.replace("q", "d") for query in small.queries} < names
    assert drawn(collection, 4, 8) == small, "the same each time"
    assert drawn(collection, 99, None) == drawn(collection, 10, 50)


def test_a_passage_that_is_a_question_itself_is_left_out() -> None:
    documents = (Document("a", "Meat harms the climate."), Document("b", "Meat feeds the poor."))
    collection = Collection("made", documents, {"a": "Meat harms the climate."}, {"a": {"b": 1}})
    assert [document.id for document in drawn(collection, 60, None).documents] == ["b"]
