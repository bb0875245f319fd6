from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.notices import texts_to

from crossrank.errors import InputError
from crossrank.text import FoundFile, find_files


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"text")


def ignore(folder: str, *patterns: str) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    Path(folder, ".gitignore").write_text("\n".join(patterns))


def found(*paths: str, include: list[str] | None = None, exclude: list[str] | None = None) -> list[str]:
    return [file.path.as_posix() for file in find_files(paths, include=include or [], exclude=exclude or [])]


def test_folders_are_walked_sorted_by_the_parts_of_paths(here: Path) -> None:
    write("d/b.txt", "d/a/z.txt", "d/a.txt", "d/a-b/c.txt", "d/.hidden", "d/.h/x.txt")
    assert found("d") == ["d/a/z.txt", "d/a-b/c.txt", "d/a.txt", "d/b.txt"]


def test_file_says_whether_it_was_named(here: Path) -> None:
    write("d/a.txt", "b.txt")
    files = list(find_files(["b.txt", "d"]))
    assert files == [FoundFile(Path("b.txt"), named=True), FoundFile(Path("d/a.txt"), named=False)]


def test_every_file_is_found_once_by_where_it_really_lies(here: Path) -> None:
    write("d/a.txt", "d/sub/b.txt")
    Path("d/link.txt").symlink_to(here / "d/a.txt")
    Path("d/way").symlink_to(here / "d/sub")
    assert found("d", "d/a.txt", str(here / "d")) == ["d/a.txt", "d/sub/b.txt"]


def test_links_that_loop_are_survived(here: Path) -> None:
    write("d/sub/a.txt")
    Path("d/sub/up").symlink_to(here / "d")
    Path("d/sub/here").symlink_to(".")
    Path("d/one").symlink_to("two")
    Path("d/two").symlink_to("one")
    skipped: list[str] = []
    assert [file.path for file in find_files(["d"], notify=texts_to(skipped))] == [Path("d/sub/a.txt")]
    assert skipped == ["d/one is not a regular file", "d/two is not a regular file"]


def test_links_that_lead_out_of_the_folder_are_reported_and_not_followed(here: Path) -> None:
    write("d/a.txt", "d/sub/b.txt", "out/secret.txt", "d-too/near.txt")
    Path("d/file.txt").symlink_to(here / "out/secret.txt")
    Path("d/sub/folder").symlink_to(here / "out")
    Path("d/near").symlink_to("../d-too")
    Path("d/up").symlink_to("..")
    skipped: list[str] = []
    files = find_files(["d"], notify=texts_to(skipped))
    assert [str(file.path) for file in files] == ["d/a.txt", "d/sub/b.txt"]
    assert [sentence.partition("; ")[0] for sentence in skipped] == [
        f"{link} is a link that leads out of d, to {target}"
        for link, target in [
            ("d/file.txt", here.resolve() / "out/secret.txt"),
            ("d/near", here.resolve() / "d-too"),
            ("d/sub/folder", here.resolve() / "out"),
            ("d/up", here.resolve()),
        ]
    ]
    assert found("d/file.txt", "out") == ["d/file.txt"], "what is named is read, once"
    Path("way").symlink_to("d")
    assert found("way") == ["way/a.txt", "way/sub/b.txt"], "a folder may itself be named through a link"


def test_pipes_and_sockets_are_reported_and_not_opened(here: Path) -> None:
    write("d/a.txt")
    os.mkfifo("d/pipe.txt")
    os.mkfifo("d/.gitignore")
    skipped: list[str] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("d/socket.txt")
        assert [file.path for file in find_files(["d"], notify=texts_to(skipped))] == [Path("d/a.txt")]
    assert skipped == ["d/pipe.txt is not a regular file", "d/socket.txt is not a regular file"]


def test_folder_that_cannot_be_read_is_reported_and_the_rest_found(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("d/a/x.txt", "d/b/x.txt")
    scandir = os.scandir

    def refuse(path: Path) -> Iterator[os.DirEntry[str]]:
        if path == Path("d/a"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    # Tests may run as root, whom no permission stops.
    monkeypatch.setattr(os, "scandir", refuse)
    skipped: list[str] = []
    assert [file.path for file in find_files(["d"], notify=texts_to(skipped))] == [Path("d/b/x.txt")]
    assert skipped == ["d/a cannot be read: Permission denied"]


def test_folders_deeper_than_pythons_calls_are_walked(here: Path) -> None:
    deep = Path("d", *["n"] * 1500)
    subprocess.run(["mkdir", "-p", deep], check=True)  # Python's own recurses
    (deep / "a.txt").write_text("text")
    assert len(found("d")) == 1
    subprocess.run(["rm", "-r", "d"], check=True)


@pytest.mark.parametrize("path", ["nowhere", "d/nowhere.txt", "a\0b"])
def test_path_that_does_not_exist_is_refused_before_any_walking(here: Path, path: str) -> None:
    write("d/a.txt")
    with pytest.raises(InputError, match=r"does not exist|cannot be read"):
        find_files(["d", path])


def test_single_string_is_refused() -> None:
    with pytest.raises(InputError, match=r"\[path\]"):
        find_files("docs")


def test_files_are_found_as_they_are_asked_for(here: Path) -> None:
    write("d/a.txt", "d/b/c.txt")
    files = find_files(["d"])
    assert next(files).path == Path("d/a.txt")
    write("d/b/later.txt")
    assert [file.path.name for file in files] == ["c.txt", "later.txt"]


def test_include_takes_only_what_matches(here: Path) -> None:
    write("d/a.md", "d/b.txt", "d/sub/c.md", "d/sub/d.txt", "d/keep/e.txt")
    assert found("d", include=["*.md"]) == ["d/a.md", "d/sub/c.md"]
    assert found("d", include=["/*.md", "keep/"]) == ["d/a.md", "d/keep/e.txt"]
    assert found("d", include=["*.txt", "!b.txt"]) == ["d/keep/e.txt", "d/sub/d.txt"]


def test_exclude_leaves_out_what_matches(here: Path) -> None:
    write("d/a.md", "d/old/b.md", "d/sub/old/c.md", "d/sub/d.md")
    assert found("d", exclude=["old/"]) == ["d/a.md", "d/sub/d.md"]
    assert found("d", exclude=["/old", "a.*"]) == ["d/sub/d.md", "d/sub/old/c.md"]
    assert found("d", include=["*.md"], exclude=["sub"]) == ["d/a.md", "d/old/b.md"]


def test_named_file_is_taken_whatever_the_patterns(here: Path) -> None:
    ignore(".", "*.log")
    write("a.log", ".hidden")
    assert found("a.log", ".hidden", include=["*.md"], exclude=["*"]) == ["a.log", ".hidden"]


def test_malformed_pattern_is_refused(here: Path) -> None:
    with pytest.raises(InputError, match="exclude holds a malformed pattern"):
        find_files(["."], exclude=["!"])
    with pytest.raises(InputError, match="include must be a list"):
        find_files(["."], include="*.md")


def test_ignored_folder_is_not_entered(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ignore("d", "node_modules")
    write("d/a.txt", "d/node_modules/x/y.txt", "d/sub/node_modules/z.txt")
    entered: list[str] = []
    scandir = os.scandir

    def noting(path: Path) -> Iterator[os.DirEntry[str]]:
        entered.append(str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noting)
    assert found("d") == ["d/a.txt"]
    assert entered == ["d", "d/sub"]


def test_gitignore_above_counts_up_to_the_root_of_the_repository(here: Path) -> None:
    ignore(".", "secret.txt")
    ignore("repository", "*.log")
    write("repository/docs/a.log", "repository/docs/secret.txt", "repository/docs/b.txt")
    assert len(found("repository/docs")) == 3
    Path("repository/.git").mkdir()
    assert found("repository/docs") == ["repository/docs/b.txt", "repository/docs/secret.txt"]


def test_folder_that_is_named_is_read_though_it_is_ignored(here: Path) -> None:
    Path(".git").mkdir()
    ignore(".", "build/")
    write("build/a.txt", "build/sub/b.txt", "c.txt")
    assert found("build") == ["build/a.txt", "build/sub/b.txt"]
    assert found(".") == ["c.txt"]


def test_byte_order_mark_line_ends_and_malformed_lines_in_gitignore_are_survived(here: Path) -> None:
    write("d/a.txt", "d/b.txt", "d/c.txt", os.fsdecode(b"d/caf\xe9.txt"))
    Path("d/.gitignore").write_bytes(b"\xef\xbb\xbfa.txt\r\n!\r\ncaf\xe9.txt\r\nb.txt")
    assert found("d") == ["d/c.txt"]


@pytest.mark.parametrize(
    "patterns",
    [
        {"": ["*.log", "!keep.log"]},
        {"": ["/*", "!/docs"]},
        {"": ["*", "!*/", "!*.md"]},
        {"": ["docs/**", "!docs/*.md"]},
        {"": ["docs/*", "!docs/sub"]},
        {"": ["*.md"], "docs": ["!a.md"]},
        {"": ["docs/"], "docs": ["!a.md"]},
        {"docs": ["/a.md", "sub/**/x.log"]},
        {"": ["[ak]*.md", "#a", "\\#x", " ", "**/sub/x.log"]},
        {"": ["sub/a.md", "docs/sub/a.md"]},
    ],
)
def test_gitignore_means_what_git_says(here: Path, patterns: dict[str, list[str]]) -> None:
    write(*(f"{folder}{name}" for folder in ("", "docs/", "docs/sub/") for name in NAMES))
    for folder, lines in patterns.items():
        ignore(folder or ".", *lines)
    subprocess.run(["git", "init", "-q"], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard", "-z"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    assert set(found(".")) == {name for name in listed if name and not name.endswith(".gitignore")}


NAMES = ["a.md", "keep.log", "x.log", "notes"]
