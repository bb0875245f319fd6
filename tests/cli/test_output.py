"""What reaches the terminal, a pipe or a file, whatever is in the texts."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import crossrank, one_line

COMMANDS = Path(__file__).parents[2] / "src" / "crossrank" / "cli"
# Red, the title of the window, the one-byte form of an escape sequence, and the direction of writing.
SEQUENCES = "\x1b[31mred \x1b]0;title\x07 \x9b31m \u202ereversed"
UNSAFE = set("\x1b\x07\x9b\u202e")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A file whose name, text, title and metadata would all command a terminal."""
    folder = tmp_path / "notes\x1b[31m"
    folder.mkdir()
    record = {"text": f"Bakers bake {SEQUENCES}.", "title": SEQUENCES, "id": SEQUENCES, "kind": SEQUENCES}
    (folder / f"{SEQUENCES}.jsonl").write_text(f"{json.dumps(record)}\n")
    (folder / f"{SEQUENCES}.pdf").write_bytes(b"%PDF-1.4")
    return folder


def environment(**values: str) -> dict[str, str]:
    return {**os.environ, **values}


def test_nothing_in_a_document_its_name_or_a_question_commands_the_terminal(
    hostile: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    ways = [
        crossrank("search", f"Who bakes {SEQUENCES}?", hostile),
        crossrank("index", "add", index, hostile),
        crossrank("index", "ls", index),
        crossrank("index", "info", index),
        crossrank("search", "Who bakes?", "--index", index),
        crossrank("search", "Who bakes?", "--index", index, "--json"),
        crossrank("search", "Who bakes?", "--index", index, "--filter", f"no filter {SEQUENCES}"),
        crossrank("search", "Who bakes?", hostile / f"missing {SEQUENCES}"),
        crossrank("search", "Who bakes?", hostile, "--model", f"./{SEQUENCES}"),
        crossrank("index", "rm", index, hostile),
        crossrank("demo", f"Who bakes {SEQUENCES}?"),
        crossrank(SEQUENCES),
    ]
    for way in ways:
        assert way.stdout + way.stderr
        assert not UNSAFE & set(way.stdout + way.stderr), way.args
    assert json.loads(ways[5].stdout)["hits"][0]["document"]["metadata"]["kind"] == SEQUENCES


def test_joined_emoji_and_letters_are_shown_joined(tmp_path: Path) -> None:
    family, persian = (
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0646\u0645",
    )
    (tmp_path / "a.txt").write_text(f"Bakers {family} {persian}")
    shown = crossrank("search", "bakers", tmp_path / "a.txt", "--retrieval", "lexical").stdout
    assert f"Bakers {family} {persian}" in shown


def test_a_question_is_shown_as_it_was_asked() -> None:
    process = crossrank("demo", "[bold]Where[/bold] are [tides] high :smile: [/nothing]?")
    assert process.returncode == 0, process.stderr
    assert "Question: [bold]Where[/bold] are [tides] high :smile: [/nothing]?" in process.stdout


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "cp1252", "utf-8"])
def test_every_character_can_be_printed_in_every_encoding(encoding: str, tmp_path: Path) -> None:
    text = "Bakers bake \U0001f600 \u6771\u4eac caf\u00e9."
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    arguments = ["search", "bakers", tmp_path / "a.txt", "--retrieval", "lexical"]
    env = environment(PYTHONIOENCODING=encoding)
    for_people = crossrank(*arguments, env=env, encoding=encoding)
    assert for_people.returncode == 0, for_people.stderr
    assert text.encode(encoding, "replace").decode(encoding) in for_people.stdout
    as_json = crossrank(*arguments, "--json", env=env, encoding=encoding)
    assert json.loads(as_json.stdout)["hits"][0]["text"] == text, "JSON loses nothing"


def test_numbers_that_json_does_not_have_are_null(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "Bakers bake.", "price": NaN, "sizes": [1, -Infinity, 1e999]}\n')
    for arguments in (["rerank", "bakers", file], ["search", "bakers", file, "--retrieval", "lexical"]):
        process = crossrank(*arguments, "--json")
        assert process.returncode == 0, process.stderr
        metadata = json.loads(process.stdout, parse_constant=pytest.fail)["hits"][0]["document"]["metadata"]
        assert (metadata["price"], metadata["sizes"]) == (None, [1, None, None])


@pytest.mark.parametrize(
    "arguments", ["--help", "demo", "demo --json", "index ls nowhere 2>&1", "check crossrank-minilm-l6"]
)
def test_a_closed_pipe_is_quiet_and_ends_like_any_program_that_sigpipe_ends(arguments: str) -> None:
    # true leaves before anything is written; the first wait makes sure of that.
    command = f"(sleep 0.5; exec {sys.executable} -m crossrank {arguments}) | true; exit ${{PIPESTATUS[0]}}"
    process = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert (process.returncode, process.stderr) == (141, "")


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("2>&-", 0), ("<&-", 0), (">&- 2>&- <&-", 0)])
def test_a_stream_that_the_caller_closed_is_no_error(closed: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Bakers bake.")
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.4")
    command = f"{sys.executable} -m crossrank search bakers {tmp_path} --retrieval lexical --json {closed}"
    process = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert process.returncode == code
    assert "Traceback" not in process.stderr
    if not closed.startswith(">"):
        assert len(json.loads(process.stdout)["hits"]) == 1, "notices are not on standard output"


def test_standard_input_that_is_closed_holds_nothing() -> None:
    command = f"{sys.executable} -m crossrank rerank bakers - <&-"
    process = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert process.returncode == 2
    assert "standard input holds no passage" in one_line(process)


@pytest.mark.parametrize("group", [["index"], ["sagemaker"], []])
def test_a_group_without_a_command_shows_its_help(group: list[str]) -> None:
    process = crossrank(*group)
    assert (process.returncode, process.stderr) == (0, "")
    assert len(process.stdout.splitlines()) > 5


def test_commands_print_through_one_file() -> None:
    """There what is not safe to show is taken out, which a plain print() would forget."""
    for file in sorted(COMMANDS.glob("*.py")):
        if file.name in {"output.py", "main.py"}:
            continue
        calls = [node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        assert "print" not in {call.id for call in calls if isinstance(call, ast.Name)}, file.name
