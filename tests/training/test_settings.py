from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crossrank.errors import InputError
from crossrank.training.settings import JudgedData, TrainingSettings, claim, read_settings

SETTINGS = TrainingSettings(data=(JudgedData(Path("judged")),))


def write(folder: Path, text: str) -> Path:
    file = folder / "train.toml"
    file.write_text(text)
    return file


def test_folders_and_models_are_relative_to_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, 'base = "./base"\npasses = 3\n[[data]]\nfolder = "nq"\nlimit = 5\npool = "wiki"\n')
    settings = read_settings(file)
    assert settings.base == str(tmp_path / "base")
    assert settings.passes == 3
    assert settings.data == (JudgedData(tmp_path / "nq", "train", 5, "wiki"),)


def test_what_is_given_takes_precedence_and_none_is_nothing(tmp_path: Path) -> None:
    file = write(tmp_path, 'passes = 3\nseed = 4\n[[data]]\nfolder = "nq"\n')
    settings = read_settings(file, passes=1, seed=None)
    assert (settings.passes, settings.seed) == (1, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("passes = ", "cannot be read as TOML"),
        ('negative = 3\n[[data]]\nfolder = "a"', "there is no setting 'negative'; there are .*negatives"),
        ('passes = "two"\n[[data]]\nfolder = "a"', "passes must be int; it is 'two'"),
        ('passes = true\n[[data]]\nfolder = "a"', "passes must be int; it is True"),
        ('passes = 0\n[[data]]\nfolder = "a"', "passes must be at least 1; it is 0"),
        ('unjudged = 1.0\n[[data]]\nfolder = "a"', "unjudged is a share from 0 to below 1"),
        ('[[data]]\nfolder = "a"\nlimit = 0', "a: limit must be at least 1; it is 0"),
        ('joint = 1.0\n[[data]]\nfolder = "a"', "joint is a share from 0 to below 1"),
        ('word_scale = -1\n[[data]]\nfolder = "a"', "word_scale must be at least 0"),
        ('frozen_layers = -1\n[[data]]\nfolder = "a"', "frozen_layers must be at least 0"),
        ('learning_rate = 0\n[[data]]\nfolder = "a"', "learning_rate must be above 0"),
        ("passes = 1", "nothing to train on"),
        ('[[data]]\nsplit = "train"', "has no folder"),
        ('[data]\nfolder = "a"', r"written \[\[data\]\]"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_settings(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml cannot be read"):
        read_settings(tmp_path / "nowhere.toml")


def test_a_stopped_training_goes_on_with_its_own_settings_alone(tmp_path: Path) -> None:
    work = tmp_path / "model.training"
    claim(work, SETTINGS)
    claim(work, SETTINGS)
    with pytest.raises(InputError, match="had other settings"):
        claim(work, replace(SETTINGS, seed=8))
