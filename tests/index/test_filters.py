from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.errors import InputError
from crossrank.index import Index
from crossrank.index.filters import as_sql, parse_filters
from crossrank.inference.bi_encoder import BiEncoder


def holds(filters: str | list[str], metadata: dict[str, Any]) -> bool:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE document (metadata TEXT)")
    database.execute("INSERT INTO document VALUES (?)", (json.dumps(metadata, ensure_ascii=False),))
    conditions = [as_sql(condition) for condition in parse_filters(filters)]
    where = " AND ".join(sql for sql, _ in conditions)
    parameters = [value for _, values in conditions for value in values]
    found = database.execute(f"SELECT count(*) FROM document WHERE {where}", parameters).fetchone()[0]
    database.close()
    return bool(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("year>=2020", True),
        ("year > 2021", False),
        ("year=2021", True),
        ("year==2021.0", True),
        ("year!=2021", False),
        ("year<10000", True),  # as numbers, not letter by letter
        ("lang=en", True),
        ("lang='en'", True),
        ('lang="en"', True),
        ("lang!=en", False),
        ("lang!=de", True),
        ("date>=2024-01-01", True),
        ("date<2024-01-01", False),
        ("tags=news", True),
        ("tags=sport", True),
        ("tags=other", False),
        ("tags!=news", False),
        ("draft=false", True),
        ("draft=true", False),
        ("missing=1", False),
        ("missing!=1", True),
        ("none=x", False),
        ("long name = x y", True),
        ("a.b=1", True),
        ("link=https://example.org/?a=b", True),
        ("empty=", True),
        ("person=Ada", False),  # an object is no value
        ("big=9007199254740993", True),
        ("big=9007199254740992", False),
    ],
)
def test_comparisons(text: str, expected: bool) -> None:
    metadata = {
        "year": 2021,
        "lang": "en",
        "date": "2024-05-01",
        "tags": ["news", "sport"],
        "draft": False,
        "none": None,
        "long name": "x y",
        "a.b": 1,
        "link": "https://example.org/?a=b",
        "empty": "",
        "person": {"name": "Ada"},
        "big": 9007199254740993,
    }
    assert holds(text, metadata) is expected


def test_all_filters_must_hold() -> None:
    assert holds(["a>=1", "a<=3"], {"a": 2})
    assert not holds(["a>=1", "a<=3"], {"a": 4})


def test_year_written_as_text_compares_too() -> None:
    assert holds("year>=2020", {"year": "2021"})


NO_FILTERS = ["", "year", ">=2020", "a ! b", 'a"b=1', "=", "year~2020", "year=>2020", "year=<2020"]


@pytest.mark.parametrize("text", NO_FILTERS)
def test_what_is_no_filter_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match="year>=2020"):
        parse_filters(text)


TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0<>=!\"'"), max_size=10)


@given(TEXT.map(str.strip).filter(bool), TEXT.map(str.strip))
def test_any_name_and_value_are_taken_as_they_are(name: str, value: str) -> None:
    assert holds(f"{name}={value}", {name: value})
    assert not holds(f"{name}={value}", {name: value + "x"})


@pytest.mark.parametrize("retrieval", ["hybrid", "dense", "lexical"])
def test_filters_apply_before_the_first_stages_cut(
    tmp_path: Path, tiny_embedder: BiEncoder, retrieval: Any
) -> None:
    lines = [json.dumps({"id": str(n), "text": f"bread {n}", "year": 1900 + n}) for n in range(150)]
    (tmp_path / "many.jsonl").write_text("\n".join(lines))
    index = Index(tmp_path / "index", embedder=tiny_embedder)
    index.add([tmp_path / "many.jsonl"])
    for year in (1900, 1975, 2049):
        found = index.retrieve("bread", 1, retrieval=retrieval, filters=f"year={year}")
        assert [candidate.document.metadata["year"] for candidate in found] == [year]
    found = index.retrieve("bread", 10, retrieval=retrieval, filters=["year>=1950", "year<1955"])
    assert {candidate.document.metadata["year"] for candidate in found} == set(range(1950, 1955))


def test_title_is_a_field(tmp_path: Path, tiny_embedder: BiEncoder) -> None:
    (tmp_path / "titled.jsonl").write_text('{"title": "Tide", "text": "bread"}\n{"text": "bread"}')
    index = Index(tmp_path / "index", embedder=tiny_embedder)
    index.add([tmp_path / "titled.jsonl"])
    (tide,) = index.retrieve("bread", 5, filters="title=Tide")
    (other,) = index.retrieve("bread", 5, filters="title!=Tide")
    assert (tide.document.title, other.document.title) == ("Tide", "")
