"""--device, of every command that loads a cross-encoder."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from support.commands import crossrank, one_line

SAMPLES = Path(__file__).parents[2] / "src" / "crossrank" / "samples"
COMMANDS = {
    "search": ("search", "Who bakes?", SAMPLES / "texts", "--retrieval", "lexical"),
    "rerank": ("rerank", "Who bakes?", "-"),
    "eval": ("eval", SAMPLES / "judged", "--retrieval", "lexical"),
    "check": ("check", "crossrank-minilm-l6"),
    "serve": ("serve", "--port", "0"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_device_is_refused_in_one_line(command: str) -> None:
    process = crossrank(*COMMANDS[command], "--device", "tpu", input="Bakers bake.\n")
    assert process.returncode == 2
    assert "device must be cpu, cuda, cuda:0 (and so on) or mps; it is 'tpu'" in one_line(process)


@pytest.mark.parametrize("device", ["cuda:99", "mps"])
def test_device_that_is_not_there_is_refused_in_one_line(device: str) -> None:
    process = crossrank(*COMMANDS["rerank"], "--device", device, input="Bakers bake.\n")
    assert process.returncode == 2
    has_torch = importlib.util.find_spec("torch") is not None
    assert ("there is no device" if has_torch else "pip install 'crossrank[torch]'") in one_line(process)


@pytest.mark.parametrize("command", ["search", "rerank"])
def test_processor_can_be_named(command: str) -> None:
    named = crossrank(*COMMANDS[command], "--device", "cpu", "--json", input="Bakers bake.\n")
    silent = crossrank(*COMMANDS[command], "--json", input="Bakers bake.\n")
    hits = [json.loads(process.stdout)["hits"] for process in (named, silent)]
    assert hits[0] == hits[1] != []
