from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.notices import texts_to

from crossrank.errors import InputError
from crossrank.text import is_supported, read_documents, supported_suffixes
from crossrank.text.reading.decoding import decode_chunks, decode_text, text_lines
from crossrank.text.reading.parts import text_documents


def write(folder: Path, text: str) -> Path:
    path = folder / "a.txt"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_short_file_is_one_document_without_a_start(tmp_path: Path) -> None:
    path = write(tmp_path, "one\n\ntwo")
    for part_characters in (None, 8, 100):
        (document,) = read_documents(path, name="n", part_characters=part_characters)
        assert (document.id, document.text, document.metadata) == ("n", "one\n\ntwo", {"source": "n"})


def test_parts_are_named_by_where_they_begin(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeffone\r\n\r\ntwo\r\n\r\nthree")
    parts = list(read_documents(path, name="n", part_characters=6))
    assert [(p.id, p.text, p.metadata) for p in parts] == [
        ("n", "one\n\n", {"source": "n", "start": 0}),
        ("n#char=5", "two\n\n", {"source": "n", "start": 5}),
        ("n#char=10", "three", {"source": "n", "start": 10}),
    ]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a b\nc\n\nd e f", ["a b\nc\n\n", "d e f"]),
        ("a b\nc d e f g", ["a b\n", "c d e f g"]),
        ("a bcd efghijkl", ["a bcd ", "efghijkl"]),
        ("abcdef\u3000ghijk", ["abcdef\u3000", "ghijk"]),
        ("abcdefgh ijk", ["abcdefgh ", "ijk"]),
        ("abcdefghijklm", ["abcdefghi", "jklm"]),
        ("\n\nabcdefghijk", ["\n\n", "abcdefghi", "jk"]),
    ],
)
def test_parts_end_at_a_blank_line_else_a_line_end_else_white_space(text: str, parts: list[str]) -> None:
    assert [part.text for part in text_documents([text], "n", 9)] == parts


PIECES = st.lists(st.sampled_from(["a", "wörd", "🎉", " ", "\n", "\n\n", "\r\n", "\r", "\x85"]), max_size=60)


@given(text=PIECES.map("".join).filter(str.strip), size=st.integers(1, 40), cut=st.integers(1, 9))
def test_parts_together_are_the_whole_text(text: str, size: int, cut: int) -> None:
    chunks = [text[i : i + cut] for i in range(0, len(text), cut)]
    parts = list(text_documents(chunks, "n", size))
    assert "".join(part.text for part in parts) == text
    assert all(0 < len(part.text) <= size for part in parts)
    assert all(text[p.metadata.get("start", 0) :].startswith(p.text) for p in parts)
    assert len({part.id for part in parts}) == len(parts)
    assert (len(parts) == 1) == (len(text) <= size)


@given(data=st.binary(max_size=40), cut=st.integers(1, 5))
@example(data=b"\xef\xbb\xbfa\r\nb\r", cut=1)
@example(data=b"\xe2\x82", cut=1)
@example(data=b"\xef", cut=1)
@example(data=b"\xef\xbb", cut=5)
@example(data=b"\xef\xbb\xbf\xef\xbb\xbfa", cut=1)
@example(data=b"\xef\xbb\xbf\xff", cut=5)
def test_decoding_does_not_depend_on_where_the_pieces_are_cut(data: bytes, cut: int) -> None:
    notices: list[str] = []
    chunks = [data[i : i + cut] for i in range(0, len(data), cut)]
    whole = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(decode_chunks(chunks, "n", texts_to(notices))) == whole
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        assert notices == ["n holds bytes that are not UTF-8; they were read as U+FFFD"]
        assert decode_text(data) == (whole, False)
    else:
        assert notices == []
        assert decode_text(data) == (whole, True)


@given(text=st.text("ab\n\r\u2028", max_size=30), cut=st.integers(1, 5))
def test_lines_do_not_depend_on_where_the_pieces_are_cut(text: str, cut: int) -> None:
    chunks = [text[i : i + cut] for i in range(0, len(text), cut)]
    assert list(text_lines(chunks, "n")) == text.split("\n")


def test_line_longer_than_any_record_is_refused() -> None:
    with pytest.raises(InputError, match="n:2 is longer than"):
        list(text_lines(["\n", *["x" * 10_000_000] * 11], "n"))


@pytest.mark.parametrize("content", [b"", b" \n\t", b" " * 100, b"\xef\xbb\xbf"])
def test_file_without_text_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    for part_characters in (None, 10):
        with pytest.raises(InputError, match=r"^n holds no text$"):
            list(read_documents(tmp_path / "a.txt", name="n", part_characters=part_characters))


def test_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\0" * 10_000)
    with pytest.raises(InputError, match=r"^n is not text \(it holds NUL bytes\)"):
        list(read_documents(tmp_path / "a.txt", name="n"))


@pytest.mark.parametrize("name", ["gone.txt", "gone.md", "gone.html", "gone.pdf", "gone.csv", "gone.jsonl"])
def test_file_that_cannot_be_opened_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"^n cannot be read: No such file"):
        list(read_documents(tmp_path / name, name="n"))
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=r"^n cannot be read: Is a directory"):
        list(read_documents(tmp_path / name, name="n"))


def test_part_of_no_characters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="part_characters must be at least 1"):
        list(read_documents(write(tmp_path, "text"), part_characters=0))


def test_pipe_that_is_named_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("text",))
    writer.start()
    assert [document.text for document in read_documents(tmp_path / "pipe")] == ["text"]
    writer.join()


def test_type_is_told_by_the_name_alone() -> None:
    assert all(is_supported(Path(f"nowhere{suffix}")) for suffix in supported_suffixes())
    assert is_supported(Path("A.PDF"))
    assert not is_supported(Path("a.exe"))


MEASURE = """
import resource, sys, time
from pathlib import Path
from crossrank.text import read_documents
list(read_documents(Path(sys.argv[1]), part_characters=1_000_000))
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
parts = characters = 0
for part in read_documents(Path(sys.argv[2]), part_characters=1_000_000):
    parts, characters = parts + 1, characters + len(part.text)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(parts, characters, grown // 1024, time.process_time() - started)
"""


@pytest.mark.parametrize("line", ["All work and no play makes Jack a dull boy.\n", "x"], ids=["lines", "one"])
def test_large_file_is_read_in_little_memory(tmp_path: Path, line: str) -> None:
    small, large = tmp_path / "small.txt", tmp_path / "large.txt"
    small.write_text("text")
    block = (line * (1_000_000 // len(line) + 1))[:1_000_000]
    with large.open("w") as file:
        for _ in range(200):
            file.write(block)
    command = [sys.executable, "-c", MEASURE, str(small), str(large)]
    parts, characters, megabytes, seconds = subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout.split()
    large.unlink()
    assert 200 <= int(parts) <= 202
    assert int(characters) == 200_000_000
    assert int(megabytes) < 60
    assert float(seconds) < 5
