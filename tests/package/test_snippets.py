"""Every snippet of the README and the documentation runs and prints what it shows, or is parsed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.pdf_files import pdf
from support.snippets import ROOT, Reader, Snippet, compare, snippets

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
# What the pages take for granted: a folder with these in it.
FILES = {
    "notes/plan.md": "---\nyear: 2021\n---\nThe plan for the economy is to build more at home.",
    "notes/bread.txt": "Bakers rise at three to bake the bread. Bees see ultraviolet light.",
    "notes/old.md": "What was written last year.",
    "speech.txt": "The plan for the economy is to build more at home. " * 20,
    "candidates.jsonl": '{"id": "tides", "text": "A tide table."}\n{"id": "bread", "text": "Bread."}\n',
    "my-run.txt": "q1 Q0 d1 2 1.0 run\nq1 Q0 d2 1 2.0 run\n",
    "my-questions/queries.jsonl": '{"_id": "q1", "text": "Who bakes bread?"}\n',
    "my-questions/qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t1\n",
}
TEXTS = {"d1": "Bakers bake bread.", "d2": "A tide table.", "d3": "Bees see ultraviolet light."}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def furnish(folder: Path) -> None:
    """The files that the pages take for granted."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "report.pdf").write_bytes(pdf(b"The report of the year."))
    corpus = "".join(json.dumps({"_id": name, "text": text}) + "\n" for name, text in TEXTS.items())
    (folder / "my-questions" / "corpus.jsonl").write_text(corpus, encoding="utf-8")


@pytest.mark.parametrize("page", [page for page in PAGES if snippets(page)], ids=lambda page: page.name)
def test_the_snippets_of_a_page_give_what_they_show(page: Path, folder: Path) -> None:
    if page.name != "tutorial.md":  # which begins with an empty folder
        furnish(folder)
    reader = Reader()
    for snippet in snippets(page):
        try:
            reader.run(snippet)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{page.name}, line {snippet.line}: {error}") from error


def test_there_are_snippets_of_all_kinds() -> None:
    found = [snippet for page in PAGES for snippet in snippets(page)]
    assert {"python", "sh", "console", "json", "toml", "yaml"} <= {snippet.language for snippet in found}
    assert len(found) > 100


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("python", ">>> 1 + 1\n3\n"),
        ("python", "# Needs the network.\nimport (\n"),
        ("python", "1 / 0\n"),
        ("sh", "crossrank search 'bread' nowhere\n"),
        ("sh", "crossrank serve --no-such-option\n"),
        ("sh", "# Needs the network.\ncrossrank pull NAME --no-such-option\n"),
        ("sh", "pip install 'crossrank[no-such-extra]'\n"),
        ("sh", "make no-such-target\n"),
        ("sh", "crossrank 'unclosed\n"),
        ("sh", "no-such-program\n"),
        ("console", "$ crossrank --version\ncrossrank 9.9\n"),
        ("json", "{"),
        ("toml", "a ="),
    ],
)
def test_a_wrong_snippet_is_noticed(language: str, text: str, folder: Path) -> None:
    with pytest.raises((Exception, SystemExit)):
        Reader().run(Snippet(language, text, None, 1))


def test_numbers_may_differ_a_little() -> None:
    compare("score 0.91, 3 hits, and more\n", "score 0.90, 3 hits...\n")
    compare("│ nDCG │ 0.81 │ 14 / 5         │", "│ nDCG │ 0.80 │ 15 / 4         │")
    with pytest.raises(AssertionError, match=r"0\.91, but the page says 0\.10"):
        compare("score 0.91", "score 0.10")
    with pytest.raises(AssertionError, match="expected"):
        compare("score 0.91, 4 hits", "score 0.91, 3 hits")
