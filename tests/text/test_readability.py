from __future__ import annotations

import pytest

from crossrank.text import unreadable_share

LATIN = frozenset({"LATIN"})


@pytest.mark.parametrize(
    ("text", "scripts", "share"),
    [
        ("plain English", LATIN, 0.0),
        ("Straße, œuvre, łódź", LATIN, 0.0),
        ("Москва", LATIN, 1.0),
        ("Москва", frozenset({"LATIN", "CYRILLIC"}), 0.0),
        ("ab Мо", LATIN, 0.5),
        ("aaa 東", LATIN, 0.25),
        ("東京", frozenset({"CJK"}), 0.0),
        ("Москва", frozenset[str](), 1.0),
        ("English", frozenset({"CYRILLIC"}), 1.0),
    ],
)
def test_share_counts_letters_of_other_scripts(text: str, scripts: frozenset[str], share: float) -> None:
    assert unreadable_share(text, scripts) == share


@pytest.mark.parametrize("text", ["", " \n", "2024 — ½ €!", "☃🎉", "٣"])
def test_text_without_letters_has_nothing_unreadable(text: str) -> None:
    assert unreadable_share(text, LATIN) == 0.0


def test_digits_and_punctuation_do_not_dilute_the_share() -> None:
    assert unreadable_share("東 1234567890 (...)", LATIN) == 1.0


def test_compatibility_forms_belong_to_the_script_they_stand_for() -> None:
    assert unreadable_share("ＡＢＣ 𝐱 ª K ﬁ", LATIN) == 0.0
    assert unreadable_share("ｱ", frozenset({"KATAKANA"})) == 0.0


def test_letters_shared_by_scripts_count_for_none() -> None:
    assert unreadable_share("東ー々ʼ", frozenset({"CJK"})) == 0.0
    assert unreadable_share("東ー々ʼ", LATIN) == 1.0
    assert unreadable_share("ー々ʼ", LATIN) == 0.0
