"""Every example in a docstring and in examples/ runs and gives what it says."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

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
