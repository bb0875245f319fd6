"""The script that measures GPUs, on the processor: that it runs, and what it says of itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.torch_models import MODERNBERT, write_classifier

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]


def test_figures_of_a_model_are_printed_and_written(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "tiny", "modernbert", MODERNBERT)
    done = subprocess.run(
        [
            *(sys.executable, str(SCRIPT), str(folder), "--device", "cpu", "--pairs", "40", "--rounds", "1"),
            *("--json", str(tmp_path / "report.json")),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    (report,) = json.loads((tmp_path / "report.json").read_text())
    assert (report["model"], report["device"], report["pairs"], report["longest"]) == ("tiny", "cpu", 40, 96)
    names = list(report["runs"])
    assert names[0] == "crossrank"
    assert [name.split(",")[1].strip() for name in names[1:]] == ["float16", "bfloat16"]
    assert all(0 < row["share_of_matrix_rate"] < 1 for row in report["runs"].values())
    assert report["ratio"] > 0
    assert "| crossrank |" in done.stdout
