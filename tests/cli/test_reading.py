"""How candidates are read, and what of it is shown: --long-documents, --on-truncation, --explain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import crossrank, one_line

from crossrank.cli.screen import show_ranking
from crossrank.documents import Candidate, Document, Hit, Ranking, Span, Window

QUESTION = "Who bakes bread?"
ANSWER = "Every night the bakers bake bread."
LONG = "Trains run along the coast in summer. " * 100 + ANSWER


@pytest.fixture
def passages(tmp_path: Path) -> Path:
    path = tmp_path / "passages.jsonl"
    rows = [{"text": text, "id": name} for name, text in (("tides", "A tide table."), ("long", LONG))]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_rerank_warns_of_truncation_in_one_line_and_can_refuse_it(passages: Path) -> None:
    warned = crossrank("rerank", QUESTION, passages)
    assert "1 of 2 candidates is longer than crossrank-minilm-l6 reads" in one_line(warned)
    plain = json.loads(crossrank("rerank", QUESTION, passages, "--json").stdout)
    assert one_line(warned) == f"crossrank: {plain['notices'][0]}"
    assert plain["truncated_tokens"] == sum(hit["truncated_tokens"] for hit in plain["hits"]) > 0
    refused = crossrank("rerank", QUESTION, passages, "--on-truncation", "error")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "tokens were not read" in one_line(refused)


def test_rerank_and_search_read_windows_and_explain(passages: Path) -> None:
    options = ("--long-documents", "windows", "--best-windows", "1", "--explain", "--json")
    chunks = ("--chunk-size", "100000", "--retrieval", "lexical")
    for run in (
        crossrank("rerank", QUESTION, passages, *options),
        crossrank("search", QUESTION, passages, *options, *chunks),
    ):
        assert (run.returncode, run.stderr) == (0, "")
        [hit] = [hit for hit in json.loads(run.stdout)["hits"] if hit["window"]]
        assert hit["window"]["number"] == hit["window"]["count"] > 1
        span = hit["spans"][0]
        assert hit["text"][span["start"] : span["end"]] == ANSWER
        assert {"bake", "bread"} & {hit["text"][word["start"] : word["end"]] for word in span["words"]}


def test_marks_are_colours_on_a_terminal_and_words_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"\tTrains run.\n\n\n{ANSWER}  \n"
    start = text.index(ANSWER)
    word = text.index("bread")
    spans = (Span(start, start + len(ANSWER), 0.947, (Span(word, word + 5, 1.0),)), Span(1, 12, 0.1))
    candidate = Candidate(Document("a", text, "On towns"), 1)
    hit = Hit(candidate, 1, 0.9, 2.0, {"logit": 2.0}, window=Window(0, 99, 2, 3), spans=spans)
    show_ranking(Ranking(QUESTION, (hit,)))
    shown = capsys.readouterr().out
    assert "window 2 of 3" in shown
    assert "marked sentence 0.9470 (bread)" in shown
    assert f"   On towns\n   Trains run.\n   {ANSWER}\n" in shown
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    show_ranking(Ranking(QUESTION, (hit,)))
    shown = capsys.readouterr().out
    assert "\x1b[33mEvery night the bakers bake \x1b[0m\x1b[1;4;33mbread\x1b[0m\x1b[33m.\x1b[0m" in shown
    assert "   Trains run.\n" in shown, "only the best sentence is marked"
