"""The example notebook runs as it stands, in a kernel of its own, offline; its outputs say what it claims."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from support.notebooks import EXAMPLES, PNG, committed, outputs, printed
from support.notebooks import executed as run

NAME = "cross_encoder_reranker.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(NAME, tmp_path_factory.mktemp("notebook"))


def picture(notebook: Any) -> bytes:
    (output,) = outputs(notebook, "picture")
    return base64.b64decode(output.data["image/png"])


def test_nothing_fails_or_warns(executed: Any) -> None:
    given = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert {output.output_type for output in given} == {"stream", "display_data"}
    assert {output.name for output in given if output.output_type == "stream"} == {"stdout"}


def test_the_reranker_puts_the_answer_on_top(executed: Any) -> None:
    assert printed(executed, "load") == ["14 texts, 124 passages"]
    before = [line.split(maxsplit=1)[1] for line in printed(executed, "first")]
    assert len(before) == 20
    assert before[0].startswith("town-economy 1 ")
    after = [line.split(maxsplit=4) for line in printed(executed, "rerank")]
    assert [rank for rank, *_ in after] == ["1", "2", "3"]
    _, score, _, was, rest = after[0]
    assert float(score) > 0.3 > float(after[1][1])  # the notebook's threshold
    assert int(was) > 1
    assert rest == before[int(was) - 1]
    assert printed(executed, "answer")[0].startswith("On the high street, one shop in five stood empty.")


def test_the_picture_is_there(executed: Any) -> None:
    drawn = picture(executed)
    assert drawn.startswith(PNG)
    assert len(drawn) > 20_000


def test_a_threshold_leaves_a_question_without_an_answer(executed: Any) -> None:
    lines = printed(executed, "threshold")
    assert lines[0] == "What did the town do about its empty shops?"
    assert lines[1].startswith("1  ")
    assert lines[-2:] == ["How do I renew my passport?", "(nothing)"]


def test_questions_asked_at_once_get_their_own_answers(executed: Any) -> None:
    lines = printed(executed, "async")
    assert len(lines) == 6
    for line, text in zip(lines[1::2], ("town-economy", "vaccine-cold-chain", "rainwater"), strict=True):
        assert text in line


def test_the_searcher_finds_the_same_passage(executed: Any) -> None:
    first = printed(executed, "searcher")[0].split()
    # The similarity is part of its score.
    assert first[1] != printed(executed, "rerank")[0].split()[1]
    assert first[-1] == "town-economy.txt#8"


def test_the_outputs_in_the_file_are_those_of_a_run(executed: Any) -> None:
    stored = committed(NAME)
    assert (EXAMPLES / NAME).stat().st_size < 200_000
    assert picture(stored).startswith(PNG)
    for cell_id in ("load", "answer"):
        assert printed(stored, cell_id) == printed(executed, cell_id)
    # Another processor may round otherwise, and so move a passage far down; the best are the same.
    assert printed(stored, "first")[:3] == printed(executed, "first")[:3]
    for cell_id in ("rerank", "threshold", "async", "searcher"):
        assert without_numbers(stored, cell_id) == without_numbers(executed, cell_id)


def without_numbers(notebook: Any, cell_id: str) -> list[str]:
    return [re.sub(r"\d\.\d+  was +\d+", "", line) for line in printed(notebook, cell_id)]
