"""examples/opensearch.py against a server that checks and answers as OpenSearch's documentation says.

That is https://docs.opensearch.org/latest/ of create index, bulk, multi-search and search, and of the queries
bool, match, term, range, ids and k-NN.
"""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from examples.opensearch import OpenSearchRetriever, add

from crossrank import BiEncoder, Document, InputError, Searcher, load_documents, split_documents
from crossrank.retrieval.bm25 import BM25Index
from crossrank.retrieval.dense import DenseIndex
from crossrank.retrieval.memory import MemoryRetriever

ROOT = Path(__file__).parents[2]
TEXTS = ROOT / "src" / "crossrank" / "samples" / "texts"
QUESTION = "What did the town do about its empty shops?"
NOTES = [
    Document("1", "Bakers bake bread.", metadata={"year": 2019, "lang": "en"}),
    Document("2", "Old bread is sold.", metadata={"year": 2021, "lang": "en"}),
    Document("3", "A tide table.", "High water", metadata={"year": 2021}),
]


def an_object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    properties = {**required, **optional}
    kind = {"type": "object", "required": list(required), "additionalProperties": False}
    return {**kind, "properties": properties}


def of_one_field(value: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": value}


TEXT, QUERY = {"type": "string"}, {"$ref": "#/$defs/query"}
QUERIES = {"anyOf": [QUERY, {"type": "array", "items": QUERY}]}
BOUNDS = {"type": "object", "propertyNames": {"enum": ["gt", "gte", "lt", "lte"]}}
VECTOR = {"type": "array", "items": {"type": "number"}, "minItems": 384, "maxItems": 384}
COUNT = {"type": "integer", "minimum": 1, "maximum": 10_000}
SEARCH = {
    **an_object({"query": QUERY}, size=COUNT, _source={"type": "boolean"}),
    "$defs": {
        "query": {
            "oneOf": [
                an_object({"match": of_one_field(an_object({"query": TEXT}))}),
                an_object({"term": of_one_field(an_object({"value": TEXT}))}),
                an_object({"range": of_one_field(BOUNDS)}),
                an_object({"ids": an_object({"values": {"type": "array", "items": TEXT, "minItems": 1}})}),
                an_object({"knn": of_one_field(an_object({"vector": VECTOR, "k": COUNT}, filter=QUERY))}),
                an_object(
                    {
                        "bool": {
                            **an_object({}, must=QUERIES, filter=QUERIES, should=QUERIES, must_not=QUERIES)
                        }
                    }
                ),
            ]
        }
    },
}
MAPPINGS = an_object(
    {
        "dynamic_templates": {"type": "array"},
        "properties": {"type": "object", "required": ["vector", "words"]},
    }
)
CREATE = an_object(
    {"settings": an_object({"index": an_object({"knn": {"const": True}})}), "mappings": MAPPINGS}
)


class RefusedError(Exception):
    """An answer with status 400: the type and the reason."""


class Store:
    """An index as OpenSearch would have it: BM25 over words, cosines of vectors, documents by their id."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, list[Any]]] = []

    def answer(self, method: str, path: str, kind: str, body: str) -> dict[str, Any]:
        assert body.endswith("\n")
        lines = [json.loads(line) for line in body.splitlines()]
        self.requests.append((f"{method} {path}", lines))
        if path in ("/passages", "/passages/_search"):
            assert kind == "application/json"
            assert len(lines) == 1
        else:
            assert kind == "application/x-ndjson"
        if (method, path) == ("PUT", "/passages"):
            jsonschema.validate(lines[0], CREATE)
            if self.rows:
                raise RefusedError("resource_already_exists_exception", "index [passages/f3x] already exists")
            return {"acknowledged": True, "shards_acknowledged": True, "index": "passages"}
        assert method == "POST"
        if path == "/passages/_bulk?refresh=true":
            for action, row in zip(lines[::2], lines[1::2], strict=True):
                jsonschema.validate(action, an_object({"index": an_object({"_id": TEXT})}))
                assert len(row["vector"]) == 384
                self.rows[action["index"]["_id"]] = row
            return {"took": 1, "errors": False, "items": []}
        if path == "/passages/_msearch":
            assert lines[::2] == [{}] * (len(lines) // 2)
            return {"took": 1, "responses": [{**self.search(body), "status": 200} for body in lines[1::2]]}
        assert path == "/passages/_search"
        return self.search(lines[0])

    def search(self, body: dict[str, Any]) -> dict[str, Any]:
        jsonschema.validate(body, SEARCH)
        scores = self.scores(body["query"])
        best = sorted(scores, key=lambda name: -scores[name])[: body.get("size", 10)]
        found = [{"_index": "passages", "_id": name, "_score": scores[name]} for name in best]
        if body.get("_source", True):
            found = [{**hit, "_source": self.rows[str(hit["_id"])]} for hit in found]
        total = {"value": len(scores), "relation": "eq"}
        return {"took": 1, "timed_out": False, "hits": {"total": total, "max_score": None, "hits": found}}

    def scores(self, query: dict[str, Any]) -> dict[str, float]:
        """What a query matches, with its score."""
        ((kind, options),) = query.items()
        names = list(self.rows)
        if kind == "ids":
            return dict.fromkeys(options["values"], 1.0)
        if kind == "bool":
            return self.combined({name: as_list(part) for name, part in options.items()})
        ((field, value),) = options.items()
        if kind == "match":
            assert field == "words"
            texts = [f"{row['title']}\n{row['text']}" for row in self.rows.values()]
            return {names[place]: score for place, score in BM25Index(texts).search(value["query"], 10_000)}
        if kind == "knn":
            assert field == "vector"
            kept = list(self.scores(value["filter"])) if "filter" in value else names
            vectors = np.array([self.rows[name]["vector"] for name in kept], dtype=np.float32).reshape(
                -1, 384
            )
            index = DenseIndex(vectors, similarity="cosine")
            near = index.search(np.array(value["vector"], dtype=np.float32), value["k"])
            return {kept[place]: (1 + similarity) / 2 for place, similarity in near}
        field = field.removeprefix("metadata.")
        known = {name: row["metadata"][field] for name, row in self.rows.items() if field in row["metadata"]}
        if kind == "term":
            return {name: 1.0 for name, given in known.items() if str(given) == value["value"]}
        assert kind == "range"
        tests = {"gt": "__gt__", "gte": "__ge__", "lt": "__lt__", "lte": "__le__"}
        return {
            name: 1.0
            for name, given in known.items()
            if all(getattr(given, tests[bound])(type(given)(limit)) for bound, limit in value.items())
        }

    def combined(self, parts: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
        matched = dict.fromkeys(self.rows, 0.0)
        for name in ("must", "filter", "must_not"):
            for scores in map(self.scores, parts.get(name, [])):
                matched = {
                    row: score for row, score in matched.items() if (row in scores) != (name == "must_not")
                }
                if name == "must":
                    matched = {row: score + scores[row] for row, score in matched.items()}
        for scores in map(self.scores, parts.get("should", [])):
            matched = {row: score + scores.get(row, 0.0) for row, score in matched.items()}
        return matched


def as_list(part: Any) -> list[dict[str, Any]]:
    return part if isinstance(part, list) else [part]


class Running:
    """The store behind HTTP."""

    def __init__(self) -> None:
        self.store = store = Store()
        self.problems = problems = []  # type: list[str]

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                try:
                    answer = store.answer(self.command, self.path, self.headers["Content-Type"], body)
                    status = 200
                except RefusedError as refused:
                    kind, reason = refused.args
                    answer, status = {"error": {"type": kind, "reason": reason}, "status": 400}, 400
                except Exception as error:
                    problems.append(repr(error))
                    answer, status = {"error": {"reason": repr(error)}, "status": 400}, 400
                sent = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=UTF-8")
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            do_POST = do_PUT = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    thread = threading.Thread(target=running.server.serve_forever)
    thread.start()
    yield running
    running.server.shutdown()
    running.server.server_close()
    thread.join()
    assert running.problems == []


@pytest.fixture(scope="module")
def embedder() -> BiEncoder:
    return BiEncoder()


@pytest.fixture
def notes(running: Running, embedder: BiEncoder) -> OpenSearchRetriever:
    add(running.address, embedder, NOTES)
    return OpenSearchRetriever(running.address, embedder)


def test_candidates_and_scores_are_those_of_crossranks_own_search(
    running: Running, embedder: BiEncoder
) -> None:
    passages = split_documents(load_documents([TEXTS]).documents)
    add(running.address, embedder, passages)
    searcher = Searcher(OpenSearchRetriever(running.address, embedder))
    own = MemoryRetriever(passages, embedder=embedder).retrieve(QUESTION, 20)
    found = searcher.retriever.retrieve(QUESTION, 20)
    assert [candidate.document.id for candidate in found] == [candidate.document.id for candidate in own]
    for candidate, same in zip(found, own, strict=True):
        assert (candidate.rank, candidate.score, candidate.document) == (same.rank, same.score, same.document)
        assert candidate.evidence == pytest.approx(same.evidence, abs=1e-6)
    assert any("lexical" not in candidate.stage_ranks for candidate in found)
    ranking = searcher.search(QUESTION, candidates=20, top_n=3)
    assert ranking.hits == searcher.reranker.rank(QUESTION, found, top_n=3).hits
    assert ranking.notices == ()
    assert ranking[0].text.startswith("On the high street, one shop in five stood empty.")


def test_a_question_is_two_requests_and_only_the_second_fetches_texts(
    running: Running, notes: OpenSearchRetriever
) -> None:
    del running.store.requests[:]
    notes.retrieve("bread", 2)
    (first, searches), (second, [search]) = running.store.requests
    assert (first, second) == ("POST /passages/_msearch", "POST /passages/_search")
    assert [search["_source"] for search in searches[1::2]] == [False, False]
    assert search["size"] == 2


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ("year>=2020", {"2", "3"}),
        ("year<2020", {"1"}),
        ("lang=en", {"1", "2"}),
        ("lang!=en", {"3"}),
        (["lang=en", "year!=2021"], {"1"}),
        ('lang=en"}} OR', set()),
    ],
)
def test_filters_choose_documents_by_their_metadata(
    notes: OpenSearchRetriever, filters: str | list[str], ids: set[str]
) -> None:
    assert {candidate.document.id for candidate in notes.retrieve("bread", 10, filters=filters)} == ids


@pytest.mark.parametrize("question", ["bread AND (", 'bread"}, "x": {"', "bread \\ * ~ ^ : / \0 \n"])
def test_a_question_is_never_read_as_query_syntax(notes: OpenSearchRetriever, question: str) -> None:
    assert {candidate.document.id for candidate in notes.retrieve(question, 10)} == {"1", "2", "3"}


def test_a_question_without_words_is_searched_by_its_vector_alone(notes: OpenSearchRetriever) -> None:
    found = notes.retrieve("?!", 10)
    assert [candidate.stage_ranks for candidate in found] == [{"dense": rank} for rank in (1, 2, 3)]
    with pytest.raises(InputError, match="question"):
        Searcher(notes).search("")


def test_an_error_of_one_search_is_shown(
    running: Running, notes: OpenSearchRetriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As OpenSearch answers when a question has more words than a query may have clauses.
    error = {"root_cause": [{"type": "too_many_clauses", "reason": "maxClauseCount is set to 1024"}]}
    failed = {"responses": [{"error": error, "status": 400}] * 2}
    monkeypatch.setattr(running.store, "answer", lambda *_: failed)
    with pytest.raises(RuntimeError, match="maxClauseCount is set to 1024"):
        notes.retrieve("bread", 10)


def test_passages_can_be_added_to_an_index_that_is_there(
    running: Running, notes: OpenSearchRetriever, embedder: BiEncoder
) -> None:
    add(running.address, embedder, [Document("1", "Old maps.")])
    assert [candidate.document.text for candidate in notes.retrieve("maps", 1)] == ["Old maps."]


def test_what_the_server_refuses_is_shown(running: Running, embedder: BiEncoder) -> None:
    def refuse(*_: Any) -> dict[str, Any]:
        raise RefusedError("security_exception", "no permissions")

    running.store.answer = refuse  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="no permissions"):
        add(running.address, embedder, NOTES)


def test_the_example_answers_from_a_folder(running: Running) -> None:
    program = ROOT / "examples" / "opensearch.py"
    done = subprocess.run(
        [sys.executable, program, running.address, TEXTS, "spongy brake lever"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    question, first, *_ = done.stdout.splitlines()
    assert question == "spongy brake lever"
    assert first.startswith("  1. 0.")
    assert "bicycle-brake.txt" in first
