"""Searches in an index over HTTP."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
from support.front import call
from support.serving import Served, serving

from crossrank import Index, Searcher
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.interpolation import EvidenceWeights, Interpolation
from crossrank.server.request import RequestError
from crossrank.server.search_request import SearchRequest
from crossrank.server.searching import IndexSearch
from crossrank.server.tools import RERANK, SEARCH

SCHEMA = json.loads(Path(__file__).parents[2].joinpath("docs", "ranking.schema.json").read_text())
QUESTION = "When do bakers get up?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_embedder: BiEncoder) -> Path:
    """A folder with files, an index of them, and its embedder's folder."""
    folder = tmp_path_factory.mktemp("searched")
    files = folder / "files"
    files.mkdir()
    (files / "bread.md").write_text(
        "---\nyear: 2021\n---\n# Bread\n\nBakers get up at three.\n\nBread is baked.\n"
    )
    (files / "bees.txt").write_text("Bees see ultraviolet light.\n\n<script>alert(1)</script> bakers")
    (files / "tides & ümlauts #1?.txt").write_text("The tide table of the harbour.")
    Index(folder / "index", embedder=tiny_embedder, chunk_size=40).add([files])
    return folder


@pytest.fixture(scope="module")
def served(folder: Path, tiny: CrossEncoder) -> Iterator[Served]:
    with serving(tiny.name, "--index", str(folder / "index")) as running:
        yield running


def search(served: Served, body: object) -> tuple[int, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, answer, content_type = call(f"{served.url}/search", content, {"Content-Type": "application/json"})
    assert content_type == "application/json"
    return status, json.loads(answer)


def get(served: Served, path: str) -> tuple[int, Any]:
    status, answer, _ = call(f"{served.url}{path}")
    return status, json.loads(answer)


def test_it_finds_what_a_searcher_finds(served: Served, folder: Path, tiny: CrossEncoder) -> None:
    status, answer = search(served, {"query": QUESTION, "candidates": 5, "top_n": 3})
    assert status == 200
    jsonschema.validate(answer, SCHEMA)
    here = Searcher(Index(folder / "index"), model=tiny).search(QUESTION, candidates=5, top_n=3).to_dict()
    assert set(answer["timings"]) == {"first_stage", "rerank"}
    for hit in answer["hits"]:
        assert hit["document"]["metadata"].pop("line") >= 1
    assert answer["hits"] == here["hits"]


def test_ten_hits_are_found_by_default_and_not_explained(served: Served) -> None:
    _, answer = search(served, {"query": QUESTION})
    jsonschema.validate(answer, SCHEMA)
    assert len(answer["hits"]) == 5, "top_n is 10 by default"
    assert all(hit["spans"] == [] for hit in answer["hits"])


def test_hits_are_explained_as_by_a_searcher(folder: Path, bundled: CrossEncoder, served: Served) -> None:
    status, answer = search(served, {"query": QUESTION, "explain": True})
    assert status == 200
    jsonschema.validate(answer, SCHEMA)
    assert all(hit["spans"] for hit in answer["hits"])
    found = IndexSearch(folder / "index", lambda: bundled).search(SearchRequest(QUESTION, explain=True))
    here = Searcher(Index(folder / "index"), model=bundled).search(QUESTION, top_n=10, explain=True)
    assert [hit.spans for hit in found] == [hit.spans for hit in here]


def test_long_passages_are_read_in_windows_or_refused(tmp_path: Path, bundled: CrossEncoder) -> None:
    (tmp_path / "long.txt").write_text("Trains run along the coast. " * 150 + "Bakers bake bread at night.")
    Index(tmp_path / "index", chunk_size=100_000).add([tmp_path / "long.txt"])
    search = IndexSearch(tmp_path / "index", lambda: bundled)
    cut = search.search(SearchRequest("Who bakes bread?"))
    assert "tokens were not read" in cut.notices[0]
    assert search.search(SearchRequest("Who bakes bread?", on_truncation="ignore")).notices == ()
    with pytest.raises(RequestError, match="tokens were not read") as refused:
        search.search(SearchRequest("Who bakes bread?", on_truncation="error"))
    assert refused.value.status == 400
    [hit] = search.search(SearchRequest.of({"query": "Who bakes bread?", "long_documents": "windows"}))
    assert hit.window
    assert hit.window.number == hit.window.count
    text = "Trains run along the coast. " * 150 + "Bakers bake bread at night."
    asked = {"query": "Who bakes bread?", "documents": [text], "long_documents": "windows"}
    [result] = RERANK.call(search, asked, None)["results"]
    assert text[slice(*result["window"])].endswith("Bakers bake bread at night.")
    assert RERANK.call(search, {**asked, "long_documents": "truncate"}, None)["notices"]


def test_min_probability_leaves_out_what_is_not_relevant(folder: Path, bundled: CrossEncoder) -> None:
    search = IndexSearch(folder / "index", lambda: bundled)
    every = search.search(SearchRequest(QUESTION))
    assert "similarity" in every[0].contributions, "also of an embedder that the weights were not fitted for"
    probabilities = [hit.probability for hit in every]
    assert all(probabilities)
    kept = search.search(SearchRequest(QUESTION, min_probability=probabilities[1]))
    assert [hit.probability for hit in kept] == probabilities[:2]
    assert len(search.search(SearchRequest(QUESTION, min_probability=1.0))) == 0
    tool = SEARCH.call(search, {"query": QUESTION, "min_probability": probabilities[1]}, None)
    assert [result["probability"] for result in tool["results"]] == probabilities[:2]


def test_weights_that_were_learnt_for_the_index_are_used(
    tmp_path: Path, folder: Path, tiny: CrossEncoder
) -> None:
    shutil.copytree(folder / "index", tmp_path / "index")
    index = Index(tmp_path / "index")
    learnt = Interpolation("", "", (EvidenceWeights(0.0, 1.0, word_match=2.0),))
    index.keep_interpolation(tiny.fingerprint, learnt)
    with serving(tiny.name, "--index", str(tmp_path / "index")) as running:
        _, answer = search(running, {"query": QUESTION})
        for hit in answer["hits"]:
            matched = hit["candidate"]["evidence"]["word_match"]
            assert hit["contributions"] == {"logit": 0.0, "word_match": 2 * matched, "constant": 1.0}
        index.keep_interpolation(tiny.fingerprint, None)
        _, answer = search(running, {"query": QUESTION})
        assert all(list(hit["contributions"]) == ["logit"] for hit in answer["hits"]), "seen at once"


def test_filters_numbers_and_null_are_heeded(served: Served) -> None:
    _, answer = search(served, {"query": QUESTION, "filters": "year>=2020", "top_n": None})
    assert {Path(hit["document"]["metadata"]["file"]).name for hit in answer["hits"]} == {"bread.md"}
    assert len(search(served, {"query": QUESTION, "candidates": 2, "top_n": 9})[1]["hits"]) == 2
    assert len(search(served, {"query": QUESTION, "filters": ["year>2020", "year<2021"]})[1]["hits"]) == 0


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"not json", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "must be a JSON object"),
        ({}, "query is missing"),
        ({"query": ""}, "the question is empty"),
        ({"query": 3}, "must be a string"),
        ({"query": "\ud800"}, "lone surrogates"),
        ({"query": "x" * 10_001}, "10,001 characters; at most 10,000"),
        ({"query": "x", "filters": "year"}, "FIELD OPERATOR VALUE"),
        ({"query": "x", "filters": [3]}, "must be a list of strings"),
        ({"query": "x", "filters": ["a=b"] * 51}, "at most 50"),
        ({"query": "x", "candidates": 0}, "candidates must be from 1 to 1,000; it is 0"),
        ({"query": "x", "candidates": 1001}, "it is 1001"),
        ({"query": "x", "candidates": None}, "whole number"),
        ({"query": "x", "top_n": 0}, "top_n must be at least 1; it is 0"),
        ({"query": "x", "top_n": True}, "whole number"),
        ({"query": "x", "top_n": 1.5}, "whole number"),
        ({"query": "x", "explain": "true"}, "explain must be true or false"),
        ({"query": "x", "long_documents": "all"}, "long_documents must be one of truncate, windows, first"),
        ({"query": "x", "best_windows": 0}, "best_windows must be at least 1"),
        ({"query": "x", "on_truncation": "raise"}, "on_truncation must be one of warn, error, ignore"),
        ({"query": "x", "min_probability": 1.5}, "min_probability must be a number from 0 to 1; it is 1.5"),
        ({"query": "x", "min_probability": "0.5"}, "min_probability must be a number from 0 to 1"),
        ({"query": "x", "min_probability": 0.5}, "is not calibrated for its logit alone"),
        ({"query": "x", "topn": 3}, "did you mean top_n?"),
        ({"query": "x", "zebra": 3}, "the fields are query, filters"),
    ],
)
def test_a_request_that_cannot_be_used_is_one_sentence(body: object, expected: str, served: Served) -> None:
    status, answer = search(served, body)
    assert status == 400
    assert expected in answer["error"]
    assert "\n" not in answer["error"]


def test_a_passage_is_read_by_the_id_of_its_hit(served: Served) -> None:
    _, answer = search(served, {"query": QUESTION})
    for hit in answer["hits"]:
        status, passage = get(served, f"/passages/{quote(hit['document']['id'], safe='')}")
        assert status == 200
        assert passage == {**hit["document"], "text": hit["text"]}


def test_around_returns_the_text_of_its_file(served: Served, folder: Path) -> None:
    path = quote(f"{(folder / 'files' / 'bread.md').resolve()}#2", safe="")
    status, passage = get(served, f"/passages/{path}?around=1000")
    assert status == 200
    assert passage["before"] + passage["text"] + passage["after"] == (
        "# Bread\n\nBakers get up at three.\n\nBread is baked."
    )
    assert passage["complete"]
    for wrong in ("-1", "x", "9999999", "²", "1e3", ""):
        status, answer = get(served, f"/passages/{path}?around={quote(wrong)}")
        assert (status, answer["error"][:6]) == (400, "around")


NAMES = ["/etc/passwd", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%00", "x", "%ff", "file:///etc/passwd",
         "/etc/passwd%231"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_path_from_a_request_is_read(name: str, served: Served) -> None:
    status, answer = get(served, f"/passages/{name}?around=10")
    assert status == 404
    assert "there is no passage" in answer["error"]


def test_the_index_says_what_it_contains(served: Served, folder: Path) -> None:
    _, answer = get(served, "/index")
    assert (answer["files"], answer["passages"], answer["problem"]) == (3, 5, None)
    assert answer["fields"] == ["source", "year"]


def test_openapi_describes_what_is_taken(served: Served) -> None:
    _, document = get(served, "/openapi.json")
    content = document["paths"]["/search"]["post"]["requestBody"]["content"]["application/json"]
    jsonschema.Draft202012Validator.check_schema(content["schema"])
    jsonschema.validate(content["example"], content["schema"])
    assert search(served, content["example"])[0] == 200
    parameters = document["paths"]["/passages/{passage_id}"]["get"]["parameters"]
    assert {one["name"]: one["in"] for one in parameters} == {"passage_id": "path", "around": "query"}
    assert "/index" in document["paths"]


def test_many_searches_at_once_find_what_each_finds_alone_and_are_counted(served: Served) -> None:
    queries = [f"When do bakers get up in {number} towns?" for number in range(120)]
    with ThreadPoolExecutor(120) as pool:
        answers = list(pool.map(lambda query: search(served, {"query": query}), queries))
    statuses = Counter(status for status, _ in answers)
    assert set(statuses) <= {200, 429}
    assert statuses[200] >= 80
    for query, (status, answer) in zip(queries, answers, strict=True):
        if status == 200:
            assert answer["hits"] == search(served, {"query": query})[1]["hits"]
        else:
            assert "try again" in answer["error"]
    metrics = call(f"{served.url}/metrics")[1].decode()
    [counted] = re.findall(r'crossrank_requests_total\{api="search",status="200"\} (\d+)', metrics)
    assert int(counted) >= 2 * statuses[200]


def test_an_index_made_and_removed_while_the_server_runs(
    tmp_path: Path, folder: Path, tiny: CrossEncoder
) -> None:
    with serving(tiny.name, "--index", str(tmp_path / "index")) as running:
        for status, answer in (search(running, {"query": QUESTION}), get(running, "/passages/x%231")):
            assert status == 404
            assert "crossrank index add" in answer["error"]
        assert "crossrank index add" in get(running, "/index")[1]["problem"]
        shutil.copytree(folder / "index", tmp_path / "index")
        assert search(running, {"query": QUESTION})[0] == 200
        shutil.rmtree(tmp_path / "index")
        assert search(running, {"query": QUESTION})[0] == 404
        assert running.ping() == 200


def test_a_server_without_an_index_says_so(tiny: CrossEncoder) -> None:
    with serving(tiny.name) as running:
        assert "--index INDEX" in search(running, {"query": QUESTION})[1]["error"]
        state = get(running, "/index")[1]
        assert not state["exists"]
        assert "--index INDEX" in state["problem"]


def test_a_damaged_index_is_the_servers_fault(tmp_path: Path, folder: Path, tiny: CrossEncoder) -> None:
    shutil.copytree(folder / "index", tmp_path / "index")
    (tmp_path / "index" / "index.sqlite").write_bytes(b"x" * 10_000)
    with serving(tiny.name, "--index", str(tmp_path / "index")) as running:
        status, answer = search(running, {"query": QUESTION})
        assert status == 500
        assert "damaged" in answer["error"]
        state = get(running, "/index")[1]
        assert state["exists"]
        assert "damaged" in state["problem"]
