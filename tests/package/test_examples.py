"""Every example in a docstring and in examples/ runs and gives what it says."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import json
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.front import call
from support.pdf_files import pdf
from support.serving import serving

import crossrank

# Imported where PyTorch is; nothing else imports them. Packs are of NumPy.
NEED_TORCH = ("crossrank.inference.engines.pytorch", "crossrank.families.networks.")
HAS_TORCH = importlib.util.find_spec("torch") is not None
MODULES = [
    module.name
    for module in pkgutil.walk_packages(crossrank.__path__, "crossrank.")
    if "__main__" not in module.name
    and (HAS_TORCH or not module.name.startswith(NEED_TORCH) or module.name.endswith(".pack"))
]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_give_what_they_say(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_some_docstrings_have_examples() -> None:
    finder = doctest.DocTestFinder()
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) > 20


def test_make_demo_ends_with_a_command_that_can_be_typed_as_it_is() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (line,) = re.findall(r"@echo '(Ask your own files: .*)'", makefile)
    command = shlex.split(line.partition(": ")[2])
    assert command[0] == ".venv/bin/crossrank"
    help_text = subprocess.run(
        [sys.executable, "-m", "crossrank", command[1], "--help"], check=True, capture_output=True, text=True
    ).stdout
    assert help_text.startswith("Usage: crossrank search")
    (page,) = re.findall(r"@echo '(Or in a browser: .*)'", makefile)
    assert page.endswith(".venv/bin/crossrank serve --index my-index")


def example(name: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "examples" / name), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_every_example_has_its_paragraph_in_the_documentation() -> None:
    linked = re.findall(r"\]\(\.\./examples/([\w.]+)\)", (ROOT / "docs" / "examples.md").read_text())
    assert sorted(linked) == sorted(file.name for file in (ROOT / "examples").iterdir() if file.is_file())


def test_the_example_of_own_candidates_runs() -> None:
    assert example("rerank_candidates.py").startswith("1. ")


def test_the_example_of_many_questions_answers_each() -> None:
    samples = str(ROOT / "src" / "crossrank" / "samples" / "texts")
    output = example("many_questions.py", samples, "highest tides in the world", "spongy brake lever")
    assert "tides-harbours.txt" in output
    assert "brake" in output


def test_the_example_of_a_chat_answers_from_the_best_passage() -> None:
    samples = str(ROOT / "src" / "crossrank" / "samples" / "texts")
    output = example(
        "chat_over_documents.py", samples, "How can I sleep when there is a lot of noise around me?"
    )
    assert "[1] Sleep by day is shorter." in output


def test_the_example_of_pdf_files_serves_hits_with_their_file_and_page(tmp_path: Path) -> None:
    (tmp_path / "tides.pdf").write_bytes(pdf(b"A tide table.", b"The highest tides are in the Bay of Fundy."))
    (tmp_path / "bread.PDF").write_bytes(pdf(b"Bakers get up at three."))
    (tmp_path / "scan.pdf").write_bytes(pdf(b""))
    (tmp_path / "notes.txt").write_text("The highest tides.")
    command = [sys.executable, str(ROOT / "examples" / "search_pdfs.py"), str(tmp_path), "0"]
    with serving(command=command) as served:
        body = json.dumps({"query": "Where are the highest tides?", "top_n": 1}).encode()
        status, answer, _ = call(f"{served.url}/search", body, {"Content-Type": "application/json"})
        assert status == 200
        (hit,) = json.loads(answer)["hits"]
        assert Path(hit["document"]["metadata"]["file"]) == tmp_path / "tides.pdf"
        assert hit["document"]["metadata"]["page"] == 2
        status, page, _ = call(f"{served.url}/")
        assert status == 200
        assert b"<html" in page
