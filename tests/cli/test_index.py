"""crossrank index, and searching what it made."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
from support.commands import crossrank, one_line
from support.tiny_models import write_embedder

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "ranking.schema.json").read_text())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a person's own files, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("notes").mkdir()
    Path("notes", "bread.md").write_text(
        "---\ntitle: Baking\nyear: 2019\n---\nBakers rise at three to bake the bread.\n"
    )
    Path("notes", "bees.html").write_text(
        "<html><title>Bees</title><body><p>Bees see ultraviolet light.</p></body></html>"
    )
    Path("notes", "plans.csv").write_text("text,year\nThe plan is to lower costs.,2022\nThe old plan.,2011\n")
    return tmp_path


def test_add_search_ls_rm_and_info(here: Path) -> None:
    added = crossrank("index", "add", "my-index", "notes")
    assert added.returncode == 0, added.stderr
    assert added.stdout.splitlines() == [
        "added notes/bees.html",
        "added notes/bread.md",
        "added notes/plans.csv",
        "0 unchanged; 4 passages written",
    ]

    found = crossrank("search", "When do bakers get up?", "--index", "my-index", "--top-n", "1", "--json")
    ranking = json.loads(found.stdout)
    jsonschema.validate(ranking, SCHEMA)
    (hit,) = ranking["hits"]
    assert hit["text"] == "Bakers rise at three to bake the bread."
    assert hit["candidate"]["stage_ranks"] == {"lexical": 1, "dense": 1}
    assert hit["document"]["metadata"]["source"] == str(here.resolve() / "notes" / "bread.md")

    listed = crossrank("index", "ls", "my-index").stdout.splitlines()
    assert [line.split() for line in listed] == [
        ["1", "notes/bees.html"],
        ["1", "notes/bread.md"],
        ["2", "notes/plans.csv"],
    ]
    assert crossrank("index", "rm", "my-index", "notes/bees.html").stdout == "removed notes/bees.html\n"
    info = json.loads(crossrank("index", "info", "my-index", "--json").stdout)
    assert (info["files"], info["passages"], info["embedder"]) == (2, 3, "all-MiniLM-L6-v2")
    assert "vector search" in crossrank("index", "info", "my-index").stdout


def test_filter_keeps_other_years_out(here: Path) -> None:
    crossrank("index", "add", "my-index", "notes")
    found = crossrank(
        "search", "What is the plan?", "--index", "my-index", "--filter", "year>=2020", "--json",
        "--candidates", "50", "--top-n", "5",
    )  # fmt: skip
    hits = json.loads(found.stdout)["hits"]
    assert [hit["text"] for hit in hits] == ["The plan is to lower costs."]


@pytest.mark.parametrize("retrieval", ["hybrid", "dense", "lexical"])
def test_question_in_query_syntax_is_a_question(here: Path, retrieval: str) -> None:
    crossrank("index", "add", "my-index", "notes")
    found = crossrank(
        "search", 'C++ AND (NOT "bread*', "--index", "my-index", "--retrieval", retrieval, "--json"
    )
    assert found.returncode == 0, found.stderr
    assert "bread" in json.loads(found.stdout)["hits"][0]["text"]


def test_lexical_weight_changes_the_fused_order(here: Path) -> None:
    crossrank("index", "add", "my-index", "notes")
    scores = []
    for weight in ("0.01", "100"):
        found = crossrank(
            "search", "When do bakers get up?", "--index", "my-index", "--lexical-weight", weight, "--json"
        )
        scores.append(json.loads(found.stdout)["hits"][0]["candidate"]["score"])
    assert scores[0] < 0.02 < 1 < scores[1]


def test_problems_are_reported_and_the_rest_is_read(here: Path) -> None:
    Path("notes", "broken.pdf").write_bytes(b"%PDF-1.4")
    Path("notes", "photo.png").write_bytes(b"\x89PNG")
    added = crossrank("index", "add", "my-index", "notes")
    assert added.returncode == 0
    assert "broken.pdf" in added.stderr
    assert "1 .png" in added.stderr
    assert "Traceback" not in added.stderr
    report = json.loads(crossrank("index", "add", "my-index", "--json").stdout)
    assert (report["unchanged"], report["unsupported"]) == (3, {".png": 1})
    strict = crossrank("index", "add", "my-index", "--strict")
    assert strict.returncode == 2
    assert "broken.pdf" in one_line(strict)


def test_index_of_another_embedder_is_refused_until_it_is_rebuilt(here: Path) -> None:
    write_embedder(here / "tiny")
    crossrank("index", "add", "my-index", "notes")
    refused = crossrank("search", "bread", "--index", "my-index", "--embedder", "tiny")
    assert refused.returncode == 2
    assert "all-MiniLM-L6-v2" in one_line(refused)
    assert str(here.resolve() / "tiny") in refused.stderr
    assert "crossrank index rebuild my-index --embedder" in refused.stderr
    rebuilt = crossrank("index", "rebuild", "my-index", "--embedder", "tiny")
    assert rebuilt.stdout == f"4 passages embedded with {here.resolve() / 'tiny'}\n"
    os.chdir("notes")  # the folder is found from anywhere
    assert crossrank("search", "bread", "--index", "../my-index", "--json").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["search", "bread"], "--index INDEX"),
        (["search", "bread", "--index", "nowhere"], "crossrank index add nowhere"),
        (["search", "bread", "notes", "--index", "nowhere"], "leave files"),
        (["search", "bread", "notes", "--filter", "a=1"], "needs --index"),
        (["search", "bread", "--index", "notes"], "no index at notes"),
        (["index", "add", "notes", "notes"], "not empty"),
        (["index", "add", "new", "nowhere"], "nowhere does not exist"),
        (["index", "add", "new"], "name the files and folders"),
        (["index", "rm", "nowhere", "notes"], "no index"),
        (["index", "add", "new", "notes", "--embedder", "nothing/here"], "nothing/here"),
        (["index", "add", "new", "notes", "--chunk-size", "0"], "chunk_size"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(here: Path, arguments: list[str], says: str) -> None:
    process = crossrank(*arguments, env={**os.environ, "CROSSRANK_OFFLINE": "1"})
    assert process.returncode in (2, 3)
    assert process.stdout == ""
    assert says in one_line(process)
    assert not Path("new", "index.sqlite").exists()


def test_interrupted_add_keeps_what_was_written(here: Path) -> None:
    many = Path("many")
    many.mkdir()
    for number in range(4000):
        (many / f"{number:04}.txt").write_text(f"bread number {number} " * 20)
    process = subprocess.Popen(
        [sys.executable, "-m", "crossrank", "index", "add", "my-index", "many"],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not Path("my-index", "index.sqlite").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "crossrank: interrupted\n"
    assert crossrank("index", "info", "my-index").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "bread", ""],
        ["search", "bread", "notes", ""],
        ["search", "bread", "--index", ""],
        ["index", "add", "", "notes"],
        ["index", "add", "my-index", ""],
        ["index", "rm", "my-index", ""],
        ["index", "ls", ""],
    ],
)
def test_an_empty_path_does_not_stand_for_the_working_directory(arguments: list[str], here: Path) -> None:
    """It is what a shell makes of a variable that is not set; rm would take out all there is."""
    process = crossrank(*arguments)
    assert process.returncode == 2
    assert "a path is empty" in one_line(process)
    assert sorted(path.name for path in here.iterdir()) == ["notes"]
