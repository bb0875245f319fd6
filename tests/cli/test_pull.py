from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.commands import crossrank, one_line
from support.onnx_models import export, strange_family
from support.tiny_models import add_outliers, write_embedder, write_reranker

SAMPLES = Path(__file__).parents[2] / "src" / "crossrank" / "samples"


@pytest.mark.parametrize("write", [write_reranker, write_embedder])
def test_pull_reports_and_says_how_to_use_the_copy(write: object, tmp_path: Path) -> None:
    write(tmp_path / "tiny")  # type: ignore[operator]
    process = crossrank("pull", "./tiny", cwd=tmp_path)
    assert process.returncode == 0
    assert process.stderr == ""
    for expected in ("208 pairs", "Spearman 0.99", "top-10 agreement", "times as fast", "a second"):
        assert expected in process.stdout
    heading, _, command = process.stdout.splitlines()[-1].strip().partition("  ")
    assert heading == "use it"
    used = shlex.split(command.replace("...", "tides").replace("notes/", str(SAMPLES / "texts")))
    assert used[-1] == "./tiny-int8"
    assert crossrank(*used[1:], cwd=tmp_path).returncode == 0


def test_json_is_the_whole_report(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    process = crossrank("pull", folder, "-o", tmp_path / "copy", "--json")
    report = json.loads(process.stdout)
    assert (report["model"], report["kind"], report["weight_format"]) == ("model", "cross-encoder", "int8")
    assert report["folder"] == str(tmp_path / "copy")
    assert report["accepted"] is True
    assert report["limits"] == {"spearman": 0.98, "top_10_agreement": 0.9}
    assert report["parity"]["pairs"] == 208
    assert report["speed"]["ratio"] == pytest.approx(report["speed"]["copy"] / report["speed"]["original"])


def test_copy_that_ranks_too_differently_is_exit_code_1_with_the_report(tmp_path: Path) -> None:
    folder = add_outliers(write_reranker(tmp_path / "model"))
    process = crossrank("pull", folder, "-o", tmp_path / "copy")
    assert process.returncode == 1
    assert "Spearman" in process.stdout
    assert "REFUSED" in process.stdout.splitlines()[-1]
    assert "use it" not in process.stdout
    assert (
        json.loads(crossrank("pull", folder, "-o", tmp_path / "copy", "--json").stdout)["accepted"] is False
    )
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_what_cannot_be_pulled_is_one_line(tmp_path: Path) -> None:
    exported = strange_family(tmp_path / "exported")
    export(exported / "model.onnx", "logits")
    tiny = write_reranker(tmp_path / "tiny")
    (tmp_path / "taken").mkdir()
    offline = {**os.environ, "CROSSRANK_OFFLINE": "1"}
    for arguments, code, expected in (
        ([exported], 3, "--weight-format fp32"),
        ([tiny, "-o", "taken"], 2, "taken exists"),
        ([tiny, "-o", "no/where"], 2, "no folder no"),
        ([tiny, "--weight-format", "int4"], 2, "weight-format"),
        (["owner/unknown"], 3, "the network is off"),
        (["./nowhere"], 3, "no model folder"),
        ([], 2, "Missing argument"),
    ):
        process = crossrank("pull", *arguments, cwd=tmp_path, env=offline)
        assert process.returncode == code, process.stderr
        assert expected in one_line(process)
        assert process.stdout == ""
    assert sorted(file.name for file in tmp_path.iterdir()) == ["exported", "taken", "tiny"]
    assert list((tmp_path / "taken").iterdir()) == []


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_pull_that_is_stopped_in_the_middle_leaves_no_model(ending: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "crossrank", "pull", "all-MiniLM-L6-v2", "-o", "copy"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, text=True, **streams) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".copy.*.partial/copy/model.safetensors")):
            assert process.poll() is None, "it ended before it was stopped"
            assert time.monotonic() < deadline, "no copy is made next to its place"
            time.sleep(0.01)
        process.send_signal(ending)
        _, errors = process.communicate(timeout=60)
    assert not (tmp_path / "copy").exists()
    if ending == signal.SIGINT:
        assert process.returncode == 130
        assert errors == "crossrank: interrupted\n"
        assert list(tmp_path.iterdir()) == []
    else:
        assert process.returncode == -signal.SIGKILL
        assert crossrank(*command[3:], cwd=tmp_path).returncode == 0, "what was left is not in the way"
