"""Whatever happened to an index, it equals one that is made from nothing."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossrank.index import Index
from crossrank.index.sources import resolve, within
from crossrank.index.store import Store, setting
from crossrank.inference.bi_encoder import BiEncoder

NAMES = ["a.txt", "b.md", "sub/a.txt", "sub/deep/c.txt", "sub/d.csv", "e.jsonl", "other/f.txt"]
CONTENTS = [
    "bread rises at night",
    "bread rises at night\n\n" * 12,  # several passages, some of them alike
    "the harbour, the moon and the tide",
    "bees find flowers",
    "",  # a problem: no text
    "text,year\nbread of the year,2019\ntide of the year,2024\n",
    '{"text": "bread of the record", "year": 2021}\n{"text": "moon", "year": 1969}\n',
]
QUESTIONS = ["who bakes bread at night", "moon and tide of the year", "flowers"]

OPERATION = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(NAMES), st.sampled_from(CONTENTS)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("move"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("touch"), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("add"), st.just("."), st.none()),
    st.tuples(st.just("rm"), st.sampled_from([*NAMES, "sub"]), st.none()),
    st.tuples(st.just("rebuild"), st.none(), st.none()),
)


def state(index: Index) -> tuple[Any, Any]:
    """All that a person can see of an index: passages with their places, and what is found."""
    store = Store(index.path)
    with store.reading() as database:
        passages = sorted(
            database.execute(
                "SELECT path, name, title, metadata, number, text, start, end, value FROM file "
                "JOIN document ON document.file = file.id JOIN passage ON passage.document = document.id "
                "JOIN vector ON vector.passage = passage.id"
            ).fetchall()
        )
        problems = sorted(
            database.execute("SELECT path, problem FROM file WHERE problem IS NOT NULL").fetchall()
        )
        assert setting(database, "dimension")
    found = [
        index.retrieve(question, 5, retrieval=retrieval, filters=only)
        for question in QUESTIONS
        for retrieval in ("hybrid", "dense", "lexical")
        for only in ([], ["year>=2020"])
    ]
    return (passages, problems), found


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=st.lists(OPERATION, min_size=3, max_size=12))
def test_any_sequence_of_operations_equals_a_fresh_build(
    operations: list[tuple[str, str, str]], tiny_embedder: BiEncoder
) -> None:
    with tempfile.TemporaryDirectory() as parent:
        root = Path(parent, "files")
        for folder in ("sub/deep", "other"):
            (root / folder).mkdir(parents=True)
        (root / "kept.txt").write_text("the town was cold")
        index = Index(Path(parent, "index"), embedder=tiny_embedder, chunk_size=60)
        index.add([root])
        gone: set[str] = set()
        for what, name, argument in operations:
            if what == "write":
                (root / name).write_text(argument)
            elif what == "delete":
                (root / name).unlink(missing_ok=True)
            elif what == "move" and (root / name).is_file():
                (root / name).replace(root / argument)
            elif what == "touch" and (root / name).is_file():
                os.utime(root / name)
            elif what == "add":
                index.add()
            elif what == "rebuild":
                index.rebuild()
            elif what == "rm" and any(within(file.path, resolve(root / name)) for file in index.ls()):
                index.rm([root / name])
                gone.add(name)
        index.add()
        fresh = Index(Path(parent, "fresh"), embedder=tiny_embedder, chunk_size=60)
        fresh.add([root], exclude=[f"/{name}" for name in gone])
        assert state(index) == state(fresh)


@pytest.mark.parametrize("retrieval", ["hybrid", "dense", "lexical"])
def test_equal_scores_are_ordered_the_same_however_the_index_came_about(
    tmp_path: Path, tiny_embedder: BiEncoder, retrieval: Any
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for number in range(30):
        (files / f"{number:02}.txt").write_text("the same bread")
    forward, backward = (Index(tmp_path / name, embedder=tiny_embedder) for name in ("forward", "backward"))
    forward.add([files])
    for number in reversed(range(30)):
        backward.add([files / f"{number:02}.txt"])
    found = [
        [candidate.document.id for candidate in index.retrieve("bread", 4, retrieval=retrieval)]
        for index in (forward, backward)
    ]
    assert found[0] == found[1] == [f"{files.resolve()}/{number:02}.txt#1" for number in range(4)]
