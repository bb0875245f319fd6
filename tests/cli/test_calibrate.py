"""crossrank calibrate, and what --min-probability makes of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from support.commands import crossrank, one_line

from crossrank.inference.cross_encoder import CrossEncoder

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "ranking.schema.json").read_text())
SAMPLES = Path(__file__).parents[2] / "src" / "crossrank" / "samples"


def test_a_calibrated_folder_gives_probabilities(bundled: CrossEncoder, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(bundled.path, model)
    known = json.loads((model / "crossrank.json").read_text())
    del known["calibration"], known["interpolation"]
    (model / "crossrank.json").write_text(json.dumps(known))
    passages = tmp_path / "passages.txt"
    passages.write_text("Bakers bake bread.\nA tide table.\n")
    before = crossrank("rerank", "Who bakes bread?", passages, "--model", model, "--min-probability", "0.1")
    assert before.returncode == 2
    assert "crossrank calibrate" in one_line(before)

    plot = tmp_path / "reliability.svg"
    options = ("--model", model, "--retrieval", "lexical", "--plot", plot, "--json")
    fitted = crossrank("calibrate", SAMPLES / "judged", *options)
    assert fitted.returncode == 0, fitted.stderr
    report = json.loads(fitted.stdout)
    assert report["queries"] == 30
    assert set(report["calibrations"]) == {"alone"}
    fit = report["calibrations"]["alone"]["candidates"]
    assert 0 <= fit["ece"] < 0.2
    assert fit["brier"] < fit["relevant"] * (1 - fit["relevant"])  # that of the same probability for all
    assert plot.read_text().startswith("<?xml")

    after = crossrank("rerank", "Who bakes bread?", passages, "--model", model, "--json")
    ranking = json.loads(after.stdout)
    jsonschema.validate(ranking, SCHEMA)
    assert all(0 < hit["probability"] < 1 for hit in ranking["hits"])


def test_search_abstains_with_a_sentence() -> None:
    question = "How many moons does Jupiter have?"
    process = crossrank("search", question, SAMPLES / "texts", "--min-probability", "0.9")
    assert process.returncode == 0
    assert process.stdout.splitlines()[0] == "No passage is relevant enough."
    assert "nothing is relevant enough: the best candidate has a probability of" in one_line(process)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--model", "crossrank-minilm-l6"), "crossrank pull crossrank-minilm-l6"),
        (("--model", ".", "--candidates", "0"), "--candidates must be at least 1"),
    ],
)
def test_what_cannot_be_calibrated_is_one_sentence(options: tuple[str, ...], expected: str) -> None:
    process = crossrank("calibrate", SAMPLES / "judged", *options)
    assert process.returncode == 2
    assert expected in one_line(process)


def test_score_cache_is_kept_from_run_to_run(tmp_path: Path) -> None:
    passages = tmp_path / "passages.txt"
    passages.write_text("Bakers bake bread.\nA tide table.\n")
    arguments = (
        "rerank",
        "Who bakes bread?",
        passages,
        "--score-cache",
        tmp_path / "scores.sqlite",
        "--json",
    )
    first, second = crossrank(*arguments), crossrank(*arguments)
    assert "score cache: 0 of 2 scores were known (0%)" in one_line(first)
    assert "score cache: 2 of 2 scores were known (100%)" in one_line(second)
    assert json.loads(first.stdout)["hits"] == json.loads(second.stdout)["hits"]
