"""examples/postgresql.py, on a PostgreSQL server of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from support.postgresql import postgresql

from crossrank import BiEncoder, Document, InputError, Searcher, load_documents, split_documents
from crossrank.retrieval.memory import MemoryRetriever

pytestmark = pytest.mark.postgresql
ROOT = Path(__file__).parents[2]
TEXTS = ROOT / "src" / "crossrank" / "samples" / "texts"
QUESTIONS = [
    "What did the town do about its empty shops?",
    "Where do potatoes keep best?",
    "How can I sleep when there is a lot of noise around me?",
    "spongy brake lever",
    "Is it a problem if a vaccine freezes by mistake?",
]
NOTES = [
    Document("1", "Bakers bake bread.", metadata={"year": 2019, "lang": "en", "tags": ["food", "night"]}),
    Document("2", "Old bread is sold.", metadata={"year": 2021, "lang": "en"}),
    Document("3", "Bread rises slowly.", "On dough", metadata={"year": "2021"}),
]


@pytest.fixture(scope="module")
def example() -> Any:
    """The example; what it needs is only in the environment of `make test-postgresql`."""
    return import_module("examples.postgresql")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with postgresql() as address:
        yield address


@pytest.fixture(scope="module")
def embedder() -> BiEncoder:
    return BiEncoder()


@pytest.fixture(scope="module")
def passages() -> list[Document]:
    return split_documents(load_documents([TEXTS]).documents, chunk_size=500, chunk_overlap=100)


@pytest.fixture(scope="module")
def samples(example: Any, address: str, embedder: BiEncoder, passages: list[Document]) -> Iterator[Any]:
    """The sample texts."""
    with database(example, address, "samples") as connection:
        example.add(connection, embedder, passages)
        yield example.PostgreSQLRetriever(connection, embedder)


@pytest.fixture(scope="module")
def notes(example: Any, address: str, embedder: BiEncoder) -> Iterator[Any]:
    """Three notes with metadata."""
    with database(example, address, "notes") as connection:
        example.add(connection, embedder, NOTES)
        yield example.PostgreSQLRetriever(connection, embedder)


def database(example: Any, address: str, name: str) -> Any:
    with example.psycopg.connect(address, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
    return example.connect(address.replace("/postgres?", f"/{name}?"))


@pytest.mark.parametrize("question", QUESTIONS)
def test_candidates_and_their_evidence_are_those_of_crossranks_own_search(
    samples: Any, embedder: BiEncoder, passages: list[Document], question: str
) -> None:
    found = samples.retrieve(question, 10)
    own = {
        candidate.document.id: candidate
        for candidate in MemoryRetriever(passages, embedder=embedder).retrieve(question, len(passages))
    }
    assert [candidate.rank for candidate in found] == list(range(1, 11))
    assert found[0].document in passages
    assert own[found[0].document.id].rank <= 2
    for candidate in found:
        same = own[candidate.document.id]
        assert candidate.stage_ranks["dense"] == same.stage_ranks["dense"]
        assert candidate.evidence["similarity"] == pytest.approx(same.evidence["similarity"], abs=1e-5)
        # The two split texts into words in slightly different ways.
        assert candidate.evidence["word_match"] == pytest.approx(same.evidence["word_match"], abs=0.1)
        assert candidate.embedder == same.embedder


def test_a_search_ranks_the_candidates_by_logit_and_evidence(samples: Any) -> None:
    searcher = Searcher(samples)
    ranking = searcher.search(QUESTIONS[0], candidates=10, top_n=3)
    again = searcher.reranker.rank(QUESTIONS[0], samples.retrieve(QUESTIONS[0], 10), top_n=3)
    assert ranking.hits == again.hits
    assert ranking.notices == ()
    assert set(ranking[0].contributions) == {"logit", "similarity", "word_match", "constant"}
    assert ranking[0].text.startswith("On the high street, one shop in five stood empty.")


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ((), {"1", "2", "3"}),
        ("year>=2020", {"2"}),
        ("year<2020", {"1"}),
        ("year=2021", {"2"}),
        ("lang=en", {"1", "2"}),
        ("lang!=en", {"3"}),
        ("tags=food", {"1"}),
        (["lang=en", "year!=2021"], {"1"}),
        ('lang=en" || true', set()),
        ("lang=' OR 1=1 --", set()),
    ],
)
def test_filters_choose_rows_by_their_metadata(notes: Any, filters: str | list[str], ids: set[str]) -> None:
    found = notes.retrieve("bread", 10, filters=filters)
    assert {candidate.document.id for candidate in found} == ids


def test_a_malformed_filter_is_an_error(notes: Any) -> None:
    with pytest.raises(InputError, match="year>=2020"):
        notes.retrieve("bread", 10, filters="year")


@pytest.mark.parametrize(
    "question",
    [
        "bread'; DROP TABLE passages; --",
        "bread' | 'x' & !('y') <-> z:*",
        "bread \\ '' \" $$ %s %(query)s {} \0",
        "bread http://localhost/a?b=1&c=2 /etc/x a-b@c.d -1e5",
    ],
)
def test_a_question_is_never_read_as_sql(notes: Any, question: str) -> None:
    found = notes.retrieve(question, 10)
    assert {candidate.document.id for candidate in found} == {"1", "2", "3"}
    assert all(candidate.evidence["word_match"] > 0 for candidate in found)


def test_a_question_without_words_is_searched_by_its_vector_alone(notes: Any) -> None:
    for question in ("", "what is it?", "?!"):
        found = notes.retrieve(question, 10)
        assert [candidate.stage_ranks for candidate in found] == [{"dense": rank} for rank in (1, 2, 3)]
        assert {candidate.evidence["word_match"] for candidate in found} == {0.0}
    with pytest.raises(InputError, match="question"):
        Searcher(notes).search("")


def test_the_vector_index_finds_as_many_rows_as_are_asked_for_also_with_a_filter(
    example: Any, samples: Any, passages: list[Document]
) -> None:
    file = passages[-1].metadata["source"]
    in_file = [passage.id for passage in passages if passage.metadata["source"] == file]
    with samples.database.transaction():
        for setting in ("enable_seqscan", "enable_sort"):
            samples.database.execute(f"SET LOCAL {setting} = off")
        asked = {"query": "", "vector": json.dumps([1] * 384), "filters": [], "depth": 100}
        plan = samples.database.execute(f"EXPLAIN {example.SEARCH}", asked).fetchall()
        assert "passages_vector" in str(plan)
        found = samples.retrieve(QUESTIONS[0], 100)
        assert sum("dense" in candidate.stage_ranks for candidate in found) == 100
        found = samples.retrieve(QUESTIONS[0], 100, filters=f"source={file}")
    assert sorted(candidate.document.id for candidate in found) == sorted(in_file)


def test_each_question_is_planned_for_itself(samples: Any) -> None:
    # Psycopg would prepare a statement that it has sent five times.
    for _ in range(7):
        samples.retrieve("bread", 1)
    assert samples.database.execute("SELECT statement FROM pg_prepared_statements").fetchall() == []


def test_a_passage_that_is_added_again_is_replaced(example: Any, address: str, embedder: BiEncoder) -> None:
    with database(example, address, "again") as connection:
        for text in ("Bakers bake bread.", "A tide table."):
            example.add(connection, embedder, [Document("1", text)])
        (found,) = example.PostgreSQLRetriever(connection, embedder).retrieve("tide", 10)
    assert found.document == Document("1", "A tide table.")
    assert found.evidence["word_match"] == 1


def test_the_example_answers_from_a_folder(example: Any, address: str) -> None:
    with database(example, address, "example"):
        pass
    program, own = ROOT / "examples" / "postgresql.py", address.replace("/postgres?", "/example?")
    done = subprocess.run(
        [sys.executable, program, own, TEXTS, "spongy brake lever"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    question, first, *_ = done.stdout.splitlines()
    assert question == "spongy brake lever"
    assert first.startswith("  1. 0.")
    assert "bicycle-brake.txt" in first
