"""The tools over the Model Context Protocol, called with the SDK's own client."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import mcp
import pytest
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client
from support.front import call
from support.serving import serving

from crossrank import Hit, Index, Reranker, Searcher
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder

QUESTION = "When do bakers get up?"
# What an older assistant says of itself.
CLIENT = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_embedder: BiEncoder) -> Path:
    folder = tmp_path_factory.mktemp("assistant")
    files = folder / "files"
    files.mkdir()
    text = "# Bread\n\nBakers get up at three.\n\nBread is baked.\n"
    (files / "bread.md").write_text(f"---\nyear: 2021\n---\n{text}")
    addresses = {"Bees see light.": "https://example.org/bees", "Tides.": "file:///etc"}
    records = [{"text": text, "url": url} for text, url in addresses.items()]
    (files / "bees.jsonl").write_text("\n".join(map(json.dumps, records)))
    Index(folder / "index", embedder=tiny_embedder, chunk_size=40).add([files])
    return folder


def over_stdio(model: str, index: Path) -> Any:
    return mcp.StdioServerParameters(
        command=sys.executable,
        args=["-m", "crossrank", "mcp", "--index", str(index), "--model", model],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


@pytest.fixture(scope="module", params=["stdio", "http"])
def target(request: pytest.FixtureRequest, folder: Path, tiny: CrossEncoder) -> Iterator[Any]:
    """What the client connects to."""
    if request.param == "stdio":
        yield over_stdio(tiny.name, folder / "index")
    else:
        with serving(tiny.name, "--index", str(folder / "index")) as running:
            yield f"{running.url}/mcp"


def using(target: Any, work: Callable[[Any], Awaitable[Any]]) -> Any:
    """Do something with a connected client."""

    async def go() -> Any:
        # Releases before 2.1 do not take the parameters themselves.
        connected = target if isinstance(target, str) else mcp.stdio_client(target)
        async with mcp.Client(connected) as client:
            return await work(client)

    return asyncio.run(asyncio.wait_for(go(), 100))


def test_it_says_what_it_can_search_and_that_it_changes_nothing(target: Any, folder: Path) -> None:
    async def work(client: Any) -> tuple[str, list[Any]]:
        return client.instructions, (await client.list_tools()).tools

    instructions, tools = using(target, work)
    assert "Searches 2 files (4 passages)" in instructions
    assert str((folder / "files").resolve()) in instructions
    assert "metadata fields url, year" in instructions
    assert [tool.name for tool in tools] == ["search", "fetch", "rerank"]
    for tool in tools:
        assert tool.annotations.read_only_hint
        assert not tool.annotations.destructive_hint
        assert not tool.annotations.open_world_hint
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
        jsonschema.Draft202012Validator.check_schema(tool.output_schema)
    # ChatGPT calls search and fetch with one string.
    assert [tool.input_schema["required"] for tool in tools[:2]] == [["query"], ["id"]]


def test_results_are_those_of_a_searcher_in_text_and_structured(
    target: Any, folder: Path, tiny: CrossEncoder
) -> None:
    calls = [
        ("search", {"query": QUESTION, "top_n": 3}),
        ("search", {"query": QUESTION, "filters": ["year=2021"]}),
        ("search", {"query": QUESTION, "rerank": False, "top_n": 2}),
        ("rerank", {"query": QUESTION, "documents": ["Bread.", "Bees."], "top_n": 1}),
    ]

    async def work(client: Any) -> list[Any]:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        answers = []
        for name, arguments in calls:
            result = await client.call_tool(name, arguments)
            assert not result.is_error
            assert json.loads(result.content[0].text) == result.structured_content
            jsonschema.validate(result.structured_content, tools[name].output_schema)
            answers.append(result.structured_content["results"])
        for found in answers[0]:
            result = await client.call_tool("fetch", {"id": found["id"]})
            assert json.loads(result.content[0].text) == result.structured_content
            jsonschema.validate(result.structured_content, tools["fetch"].output_schema)
            assert result.structured_content["metadata"]["passage"] == found["text"]
            assert found["text"] in result.structured_content["text"]
        result = await client.call_tool("fetch", {"id": answers[1][0]["id"]})
        answers.append(result.structured_content)
        return answers

    searched, filtered, first_stage, reranked, fetched = using(target, work)
    index = Index(folder / "index")
    expected = Searcher(index, model=tiny).search(QUESTION, top_n=3)
    assert [(one["id"], one["score"]) for one in searched] == [
        (hit.document.id, pytest.approx(hit.score, abs=1e-6)) for hit in expected
    ]
    assert {Path(one["file"]).name for one in filtered} == {"bread.md"}
    assert sorted(one["line"] for one in filtered) == [4, 8]
    assert all(one["url"] == Path(one["file"]).as_uri() for one in filtered)
    assert [one["id"] for one in first_stage] == [one.document.id for one in index.retrieve(QUESTION, 2)]
    assert [one["score"] for one in first_stage] == [None, None]
    [best] = Reranker(tiny).rank(QUESTION, ["Bread.", "Bees."], top_n=1)
    assert reranked == [
        {
            "index": best.candidate.rank - 1,
            "score": pytest.approx(best.score, abs=1e-6),
            "probability": None,
            "text": best.text,
            "window": None,
        }
    ]
    assert fetched["text"] == "# Bread\n\nBakers get up at three.\n\nBread is baked."
    assert fetched["metadata"]["complete"]
    assert fetched["metadata"]["year"] == 2021


def test_sentences_and_windows_are_those_of_the_library(
    target: Any, folder: Path, tiny: CrossEncoder
) -> None:
    book = "Trains run along the coast. " * 60 + "Bakers bake bread at night."
    options = {"explain": True, "long_documents": "windows"}
    calls = [("search", {}), ("search", options), ("rerank", {"documents": [book, "Bees."], **options})]

    async def work(client: Any) -> list[Any]:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        answers = []
        for name, arguments in calls:
            result = await client.call_tool(name, {"query": QUESTION, **arguments})
            assert not result.is_error
            jsonschema.validate(result.structured_content, tools[name].output_schema)
            answers.append(result.structured_content["results"])
        return answers

    plain, searched, reranked = using(target, work)
    assert not any("spans" in one for one in plain), "they take time and are read by the assistant"
    expected = Searcher(Index(folder / "index"), model=tiny).search(QUESTION, top_n=10, **options)
    assert [_told(one["spans"]) for one in searched] == [_spans(hit) for hit in expected]
    ranking = Reranker(tiny).rank(QUESTION, [book, "Bees."], **options)
    assert [_told(one["spans"]) for one in reranked] == [_spans(hit) for hit in ranking]
    [window] = [[hit.window.start, hit.window.end] for hit in ranking if hit.window]
    assert [one["window"] for one in reranked if one["window"]] == [window]


def _told(spans: list[dict[str, Any]]) -> list[Any]:
    return [
        (one["text"], one["start"], one["words"], pytest.approx(one["weight"], abs=1e-6)) for one in spans
    ]


def _spans(hit: Hit) -> list[Any]:
    """The three best sentences of a hit, as the tools have them."""
    return [
        (
            hit.text[span.start : span.end],
            span.start,
            [hit.text[w.start : w.end] for w in span.words],
            span.weight,
        )
        for span in hit.spans[:3]
    ]


def test_only_probable_results_are_returned(folder: Path) -> None:
    from crossrank.server.searching import IndexSearch
    from crossrank.server.tools import RERANK

    search = IndexSearch(None, CrossEncoder)
    texts = {"query": QUESTION, "documents": ["Bakers get up at three.", "A tide table."]}
    for least, count in ((0, 2), (0.1, 1), (0.99, 0)):
        found = RERANK.call(search, {**texts, "min_probability": least}, None)
        assert len(found["results"]) == count
        assert all(one["probability"] >= least for one in found["results"])
    assert "nothing is relevant enough" in found["notices"][0]


ERRORS = [
    ("search", {}, "query is missing"),
    ("search", {"query": " "}, "the question is empty"),
    ("search", {"query": "x", "top_n": "3"}, "top_n must be a whole number"),
    ("search", {"query": "x", "top_n": 101}, "from 1 to 100"),
    ("search", {"query": "x", "rerank": "no"}, "rerank must be true or false"),
    ("search", {"query": "x", "rerank": False, "explain": True}, "need rerank to be true"),
    ("search", {"query": "x", "explain": "yes"}, "explain must be true or false"),
    ("search", {"query": "x", "min_probability": 0.5}, "not calibrated"),
    ("rerank", {"query": "x", "documents": ["y"], "min_probability": 0.5}, "not calibrated"),
    ("rerank", {"query": "x", "documents": ["y"], "long_documents": "all"}, "long_documents must be"),
    ("search", {"query": "x", "topn": 1}, "did you mean top_n?"),
    ("search", {"query": "x", "filters": ["year"]}, "FIELD OPERATOR VALUE"),
    ("fetch", {}, "id must be a string"),
    ("fetch", {"id": "/etc/passwd"}, "there is no passage"),
    ("rerank", {"query": "x", "documents": "y"}, "documents must be a list of strings"),
    ("rerank", {"query": "x", "documents": ["y"] * 1001}, "at most 1,000"),
    ("find", {}, "the tools are search, fetch, rerank"),
]


def test_what_is_wrong_is_said_in_one_sentence(target: Any) -> None:
    async def work(client: Any) -> None:
        for name, arguments, expected in ERRORS:
            result = await client.call_tool(name, arguments)
            assert result.is_error, arguments
            assert expected in result.content[0].text
            assert "\n" not in result.content[0].text
            assert len(result.content[0].text) < 250

    using(target, work)


def test_many_calls_at_once_are_all_answered(target: Any) -> None:
    async def work(client: Any) -> list[Any]:
        queries = [f"bread {number}" for number in range(20)]
        return await asyncio.gather(*(client.call_tool("search", {"query": query}) for query in queries))

    assert not any(result.is_error for result in using(target, work))


def test_web_addresses_are_kept_and_others_are_not(folder: Path, tiny: CrossEncoder) -> None:
    from crossrank.server.searching import IndexSearch
    from crossrank.server.tools import SEARCH

    found = SEARCH.call(IndexSearch(folder / "index", lambda: tiny), {"query": "bees tides"}, None)["results"]
    addresses = {one["text"]: one["url"] for one in found}
    assert addresses["Bees see light."] == "https://example.org/bees"
    assert addresses["Tides."] == (folder / "files" / "bees.jsonl").resolve().as_uri()


def test_an_index_that_is_made_later_is_searched(tmp_path: Path, folder: Path, tiny: CrossEncoder) -> None:
    async def look(client: Any) -> tuple[str, Any]:
        return client.instructions, await client.call_tool("search", {"query": QUESTION})

    with serving(tiny.name, "--index", str(tmp_path / "index")) as running:
        instructions, result = using(f"{running.url}/mcp", look)
        assert "crossrank index add" in instructions
        assert result.is_error
        assert "there is no index" in result.content[0].text
        shutil.copytree(folder / "index", tmp_path / "index")
        instructions, result = using(f"{running.url}/mcp", look)
        assert "Searches 2 files" in instructions
        assert not result.is_error
        assert running.stop() == 0, "its sessions do not keep it"


def servers(configuration: dict[str, Any]) -> dict[str, Any]:
    """The entry of this server in an assistant's configuration."""
    [named] = configuration.values()
    return dict(named["crossrank"])


def test_every_documented_configuration_starts_it() -> None:
    text = Path(__file__).parents[2].joinpath("docs", "mcp.md").read_text(encoding="utf-8")
    found = [servers(json.loads(block)) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    found += [servers(tomllib.loads(block)) for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    assert len(found) == 4
    entry = {"command": "crossrank", "args": ["mcp", "--index", "/home/me/my-index"]}
    assert all(one == entry for one in found)
    commands = re.findall(r"`claude mcp add crossrank -- (.*?)`|`codex mcp add crossrank -- (.*?)`", text)
    assert {shlex.join([entry["command"], *entry["args"]])} == {a or b for a, b in commands}
    [vs_code] = re.findall(r"--add-mcp '(.*?)'", text)
    assert json.loads(vs_code) == {"name": "crossrank", **entry}


def message(method: str, number: int | None = None, **parameters: Any) -> str:
    values = {"jsonrpc": "2.0", "method": method, "params": parameters}
    return json.dumps(values if number is None else {**values, "id": number}) + "\n"


def test_on_standard_output_is_nothing_but_the_protocol(folder: Path, tiny: CrossEncoder) -> None:
    target = over_stdio(tiny.name, folder / "index")
    process = subprocess.Popen(
        [target.command, *target.args],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=target.env,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    process.stdin.write("this is no message\n")
    process.stdin.write(message("initialize", 1, **CLIENT) + message("notifications/initialized"))
    process.stdin.write(message("tools/call", 2, name="search", arguments={"query": QUESTION}))
    process.stdin.flush()
    answers: dict[int, Any] = {}
    while 2 not in answers:
        answer = json.loads(process.stdout.readline())
        assert answer["jsonrpc"] == "2.0"
        answers[answer.get("id") or 0] = answer
    rest, errors = process.communicate(timeout=30)
    assert rest == ""
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert answers[1]["result"]["protocolVersion"] == "2025-06-18", "what older assistants speak"
    assert answers[2]["result"]["structuredContent"]["results"]


def test_scores_are_kept_for_the_next_assistant(folder: Path, tiny: CrossEncoder, tmp_path: Path) -> None:
    target = over_stdio(tiny.name, folder / "index")
    command = [target.command, *target.args, "--score-cache", str(tmp_path / "scores.sqlite")]
    ask = message("tools/call", 2, name="search", arguments={"query": QUESTION})
    printed = []
    for _ in range(2):
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=target.env,
        )  # fmt: skip
        assert process.stdin
        assert process.stdout
        process.stdin.write(message("initialize", 1, **CLIENT) + message("notifications/initialized") + ask)
        process.stdin.flush()
        while json.loads(process.stdout.readline()).get("id") != 2:
            pass
        printed.append(process.communicate(timeout=30)[1].splitlines()[-1])
    assert printed[0].endswith("0 of 4 scores were known (0%)")
    assert printed[1].endswith("4 of 4 scores were known (100%)")


def test_a_model_that_does_not_load_does_not_keep_the_process(folder: Path, tmp_path: Path) -> None:
    # A server of models that never answers.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = over_stdio("owner/slow", folder / "index")
        hub = {"HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}", "HF_HOME": str(tmp_path)}
        quiet = {"CROSSRANK_OFFLINE": "0", "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
        process = subprocess.Popen(
            [target.command, *target.args], env={**target.env, **hub, **quiet},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdin
        assert process.stdout
        process.stdin.write(message("initialize", 1, **CLIENT) + message("notifications/initialized"))
        process.stdin.write(message("tools/call", 2, name="search", arguments={"query": QUESTION}))
        without = {"query": QUESTION, "rerank": False}
        process.stdin.write(message("tools/call", 3, name="search", arguments=without))
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert [answer["id"] for answer in answers] == [1, 3], "the first stage needs no model"
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "Traceback" not in errors


def test_a_page_of_another_site_is_refused(folder: Path, tiny: CrossEncoder) -> None:
    with serving(tiny.name, "--index", str(folder / "index")) as running:
        for foreign in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            for path in ("/mcp", "/search", "/index", "/"):
                body = None if path in ("/index", "/") else b"{}"
                headers = {"Content-Type": "application/json", **foreign}
                assert call(f"{running.url}{path}", body, headers)[0] == 403


def test_over_http_a_key_is_needed_and_sent_as_a_header(folder: Path, tiny: CrossEncoder) -> None:
    key = "correct-horse-battery"

    async def search(url: str, **headers: str) -> Any:
        async with (
            create_mcp_http_client(headers=headers) as http,
            mcp.Client(streamable_http_client(url, http_client=http)) as client,
        ):
            return await client.call_tool("search", {"query": QUESTION})

    environment = {"CROSSRANK_API_KEY": key}
    with serving(tiny.name, "--index", str(folder / "index"), environment=environment) as running:
        url = f"{running.url}/mcp"
        for headers in ({"Authorization": f"Bearer {key}"}, {"X-Api-Key": key}):
            result = asyncio.run(asyncio.wait_for(search(url, **headers), 60))
            assert result.structured_content["results"]
        for wrong in ({}, {"Authorization": "Bearer wrong-horse"}):
            with pytest.raises(ExceptionGroup) as caught:
                asyncio.run(asyncio.wait_for(search(url, **wrong), 60))
            assert caught.value.subgroup(mcp.MCPError) is not None, "the server's answer is an error"
        status, answer, _ = call(url, b"{}", {"Content-Type": "application/json"})
        assert status == 401
        assert "Bearer KEY" in json.loads(answer)["message"]


def test_without_the_extra_it_is_named(tmp_path: Path, tiny: CrossEncoder) -> None:
    (tmp_path / "mcp.py").write_text("raise ImportError('no mcp')")
    environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    process = subprocess.run(
        [sys.executable, "-m", "crossrank", "mcp"],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (process.returncode, process.stdout) == (2, "")
    assert "pip install 'crossrank[mcp]'" in process.stderr
    assert len(process.stderr.splitlines()) == 1
    with serving(tiny.name, environment=environment) as running:
        status, answer, _ = call(f"{running.url}/mcp", b"{}", {"Content-Type": "application/json"})
        assert status == 501
        assert "pip install 'crossrank[mcp]'" in json.loads(answer)["error"]
        assert running.ping() == 200
