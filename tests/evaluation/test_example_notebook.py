"""The notebook that evaluates own questions runs as it stands, offline; its outputs are those of a run."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from support.notebooks import PNG, committed, outputs, printed
from support.notebooks import executed as run

NAME = "evaluate_my_questions.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(NAME, tmp_path_factory.mktemp("notebook"))


def numbers(line: str) -> list[float]:
    return [float(number) for number in re.findall(r"[-+]?\d+\.\d+", line)]


def test_nothing_fails_or_warns(executed: Any) -> None:
    given = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert {output.output_type for output in given} == {"stream", "display_data", "execute_result"}
    assert {output.name for output in given if output.output_type == "stream"} == {"stdout"}


def test_each_first_stage_is_measured_before_and_after(executed: Any) -> None:
    assert printed(executed, "load") == ["98 documents, 30 questions"]
    _, *rows = printed(executed, "stages")
    assert [row.split()[0] for row in rows] == ["lexical", "dense", "hybrid"]
    for row in rows:
        before, after, difference, low, high = numbers(row)
        assert after - before == pytest.approx(difference, abs=0.002)
        assert low <= difference <= high


def test_the_questions_that_lost_most_are_named_with_their_best_documents(executed: Any) -> None:
    lines = printed(executed, "worse")
    assert len(lines) == 9
    lost = [numbers(line)[0] for line in lines[::3]]
    assert lost == sorted(lost)
    assert lost[0] < 0
    assert all(line.split()[0] == "before" for line in lines[1::3])
    assert all(line.split()[0] == "after" for line in lines[2::3])


def test_more_candidates_and_higher_thresholds_are_measured(executed: Any) -> None:
    depths = [line.split() for line in printed(executed, "depths")]
    assert [row[0] for row in depths] == ["1", "2", "5", "10", "20", "30"]
    assert float(depths[0][-1]) < float(depths[-1][-1])
    # Twenty candidates are those of the table.
    assert float(depths[4][-1]) == numbers(printed(executed, "stages")[-1])[1]
    kept = [int(re.findall(r"(\d+)%", line)[0]) for line in printed(executed, "threshold")]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] > kept[-1]


def test_the_pictures_are_there_also_in_the_file(executed: Any) -> None:
    for notebook in (executed, committed(NAME)):
        for cell in ("gains", "depths", "threshold"):
            (data,) = (output.data for output in outputs(notebook, cell) if output.output_type != "stream")
            assert base64.b64decode(data["image/png"]).startswith(PNG)


def test_the_outputs_in_the_file_are_those_of_a_run(executed: Any) -> None:
    stored = committed(NAME)
    assert printed(stored, "load") == printed(executed, "load")
    for cell in ("stages", "depths"):
        # Another processor may round otherwise, and so move a passage.
        for line, again in zip(printed(stored, cell), printed(executed, cell), strict=True):
            assert numbers(line) == pytest.approx(numbers(again), abs=0.03)
