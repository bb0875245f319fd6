from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from support.notices import texts_to

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.text import read_documents


def read(folder: Path, text: str, notices: list[str] | None = None, name: str = "a.csv") -> list[Document]:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    notify = texts_to([] if notices is None else notices)
    return list(read_documents(folder / name, name="n", notify=notify))


def test_columns_become_the_document(tmp_path: Path) -> None:
    text = 'ID,Title,Text,year,note\nx,T,"one, ""two""\r\nthree",1990,\n,,four,,more\n'
    first, second = read(tmp_path, text)
    assert (first.id, first.title, first.text) == ("x", "T", 'one, "two"\nthree')
    assert first.metadata == {"source": "n", "year": 1990}
    assert (second.id, second.title, second.text) == ("n:4", "", "four")
    assert second.metadata == {"source": "n", "note": "more"}


@pytest.mark.parametrize("column", ["text", "page_content", "contents", "content", "Body", "PASSAGE"])
def test_text_column_may_have_the_names_in_use(tmp_path: Path, column: str) -> None:
    (document,) = read(tmp_path, f"_id,{column}\n7,words\n")
    assert (document.id, document.text, document.metadata) == ("7", "words", {"source": "n"})


def test_first_of_several_text_columns_is_the_text(tmp_path: Path) -> None:
    (document,) = read(tmp_path, "body,text\nb,t\n")
    assert (document.text, document.metadata["body"]) == ("t", "b")


def test_without_a_text_column_all_columns_are_the_text(tmp_path: Path) -> None:
    (document,) = read(tmp_path, "title,city,people,\nT,Paris,2100000,x\n")
    assert (document.title, document.text) == ("T", "city: Paris\npeople: 2100000\ncolumn 4: x")
    assert document.metadata == {"source": "n", "city": "Paris", "people": 2100000, "column 4": "x"}


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("0", 0),
        ("-12", -12),
        ("1.50", 1.5),
        ("-0.5", -0.5),
        ("007", "007"),
        ("-0", "-0"),
        ("+1", "+1"),
        ("1e5", "1e5"),
        ("1_000", "1_000"),
        (".5", ".5"),
        ("5.", "5."),
        ("00.5", "00.5"),
        ("٣", "٣"),
        ("nan", "nan"),
        ("9" * 19, "9" * 19),
        ("1.2.3", "1.2.3"),
    ],
)
def test_only_what_is_written_as_a_number_is_one(tmp_path: Path, cell: str, value: object) -> None:
    (document,) = read(tmp_path, f"text,value\nt,{cell}\n")
    assert document.metadata["value"] == value
    assert type(document.metadata["value"]) is type(value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_delimiter_is_found_whatever_the_suffix(tmp_path: Path, delimiter: str, name: str) -> None:
    rows = [["id", "text", "n"], ["1", "Well; yes.", "3"], ["2", "One, two, three | four.", "4"]]
    lines = [delimiter.join(f'"{cell}"' for cell in row) for row in rows]
    documents = read(tmp_path, "\n".join(lines), name=name)
    assert [(d.id, d.text, d.metadata["n"]) for d in documents] == [
        ("1", "Well; yes.", 3),
        ("2", "One, two, three | four.", 4),
    ]


def test_prose_does_not_mislead_about_the_delimiter(tmp_path: Path) -> None:
    text = "id;a, b or c\n" + "".join(f"{n};one, two, three, four\n" for n in range(9))
    assert read(tmp_path, text)[0].text == "a, b or c: one, two, three, four"


def test_tabs_with_stray_quotes_are_read_without_quoting(tmp_path: Path) -> None:
    text = 'id\ttext\n1\t"Never closed\n2\tplain\n3\tsaid "so"\n'
    assert [d.text for d in read(tmp_path, text, name="a.tsv")] == ['"Never closed', "plain", 'said "so"']


def test_single_column_is_read(tmp_path: Path) -> None:
    assert [d.text for d in read(tmp_path, "text\none two\nthree four\n")] == ["one two", "three four"]


def test_byte_order_mark_and_spaces_are_no_part_of_the_names(tmp_path: Path) -> None:
    (document,) = read(tmp_path, '\ufeffid , text\n1, "a, b"\n')
    assert (document.id, document.text) == ("1", "a, b")


def test_row_that_does_not_fit_is_reported_and_left_out(tmp_path: Path) -> None:
    notices: list[str] = []
    documents = read(tmp_path, "id,text\n1,one\n2\n3,three,more\n\n4,four,,\n5,\n6,six\n", notices)
    assert [document.id for document in documents] == ["1", "4", "6"]
    assert notices == [
        "n:3 has 1 cell where the header has 2; the row was left out",
        "n:4 has 3 cells where the header has 2; the row was left out",
        "n:7 holds no text",
    ]


def test_row_with_nul_bytes_is_reported_and_left_out(tmp_path: Path) -> None:
    notices: list[str] = []
    text = f"id,text\n1,{'x' * 10_000}\n2,a\0b\n3,three\n"
    assert [document.id for document in read(tmp_path, text, notices)] == ["1", "3"]
    assert notices == ["n:3 holds NUL bytes; the row was left out"]


def test_many_rows_that_do_not_fit_are_counted(tmp_path: Path) -> None:
    notices: list[str] = []
    assert len(read(tmp_path, "id,text\n1,one\n2,two\n" + "3\n" * 100, notices)) == 2
    assert len(notices) == 6
    assert notices[-1] == "n has 95 more rows that do not fit; they were left out"


@pytest.mark.parametrize("text", ["", "\n\n", "id,text\n", "id,text\n1,\n"])
def test_table_without_text_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"^n holds no text"):
        read(tmp_path, text)


def test_binary_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^n is not text"):
        read(tmp_path, "id,text\n\0")


def test_id_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two documents have the id '1'"):
        read(tmp_path, "id,text\n1,a\n1,b\n")


def test_long_cell_is_read_and_a_quote_never_closed_is_reported(tmp_path: Path) -> None:
    (document,) = read(tmp_path, f"id;text\n1;{'x' * 1_000_000}\n")
    assert len(document.text) == 1_000_000
    with pytest.raises(InputError, match=r"^n:2 cannot be read .*is a quote never closed\?"):
        read(tmp_path, 'id,text\n1,"' + "two words\n" * 1_100_000)


def test_rows_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "id,text\n" + "".join(f"{n},row\n" for n in range(300_000)) + '300000,"' + "x" * 11_000_000
    )
    documents = read_documents(path)
    assert [document.id for document in itertools.islice(documents, 2)] == ["0", "1"]
