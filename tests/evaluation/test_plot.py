"""The picture is a file of the kind its suffix says, and says what was compared."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

from crossrank.errors import InputError, MissingExtraError
from crossrank.evaluation import MEASURES, Evaluation, plot_comparison


def evaluation(values: list[float]) -> Evaluation:
    per_query = {f"q{number}": dict.fromkeys(MEASURES, value) for number, value in enumerate(values)}
    return Evaluation(dict.fromkeys(MEASURES, sum(values) / len(values)), per_query)


A, B = evaluation([0.2, 0.5, 0.4, 0.9]), evaluation([0.6, 0.5, 0.3, 1.0])


def test_a_png_has_the_documented_size_and_both_colours(tmp_path: Path) -> None:
    path = tmp_path / "picture.PNG"
    plot_comparison(path, "BM25", A, "reranked", B)
    pixels = imread(path, format="png")
    assert pixels.shape[:2] == (810, 1650)
    colours = {
        tuple(round(255 * float(part)) for part in pixel[:3]) for row in pixels[::5] for pixel in row[::5]
    }
    assert {(0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00)} <= colours


def test_an_svg_names_the_runs_the_measures_and_the_counts(tmp_path: Path) -> None:
    path = tmp_path / "picture.svg"
    plot_comparison(path, "BM25", A, "reranked", B, "MRR@10")
    text = path.read_text()  # matplotlib keeps each text as a comment next to its outlines
    for words in ("reranked against BM25", "gain in MRR@10", "Better on 2 queries, worse on 1, equal on 1"):
        assert words in text
    assert all(f"<!-- {measure} -->" in text for measure in MEASURES)


@pytest.mark.parametrize(
    "name", ["costs $5 or $6", "x_1^{", "a/very-long-model-name-without-any-space" * 3, ""]
)
def test_any_name_can_be_drawn(tmp_path: Path, name: str) -> None:
    plot_comparison(tmp_path / "picture.png", name, A, name, B)


def test_one_query_and_no_difference_can_be_drawn(tmp_path: Path) -> None:
    plot_comparison(tmp_path / "picture.png", "a", evaluation([0.0]), "b", evaluation([0.0]))


def test_drawing_does_not_touch_pyplot(tmp_path: Path) -> None:
    program = (
        "import sys; from crossrank.evaluation import *\n"
        "v = dict.fromkeys(MEASURES, 0.5); e = Evaluation(v, {'q': v})\n"
        "assert not {'matplotlib', 'ir_measures', 'numpy'} & set(sys.modules), 'imported too early'\n"
        f"plot_comparison({str(tmp_path / 'picture.png')!r}, 'a', e, 'b', e)\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["picture.pdf", "picture", "png"])
def test_another_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"a picture is \.png or \.svg"):
        plot_comparison(tmp_path / name, "a", A, "b", B)


def test_evaluations_of_different_queries_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="only one of the two evaluations has query"):
        plot_comparison(tmp_path / "picture.png", "a", A, "b", evaluation([0.5]))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        plot_comparison(tmp_path / "nowhere" / "picture.png", "a", A, "b", B)


def test_a_missing_matplotlib_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'crossrank\[plot\]'"):
        plot_comparison(tmp_path / "picture.png", "a", A, "b", B)
