"""Notices of readers, as tests look at them."""

from __future__ import annotations

from crossrank.text import Notice, Notify


def texts_to(texts: list[str]) -> Notify:
    """What puts the sentence of each notice into a list."""

    def notify(notice: Notice) -> None:
        texts.append(notice.text)

    return notify
