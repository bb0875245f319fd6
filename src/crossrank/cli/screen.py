"""Output for people: rankings as text. It imports rich, so commands import it when they print."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from crossrank.cli.output import notify, printable
from crossrank.documents import Hit, Ranking

# The number of characters of a passage that are shown in one of two columns.
_SIDE_BY_SIDE = 320
_STAGES = {
    "load": "read files",
    "models": "load models",
    "index": "index",
    "first_stage": "first stage",
    "rerank": "rerank",
}


class _Screen(Console):
    """A console that prints strings literally, without markup or terminal control characters."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else 100
        super().__init__(markup=False, highlight=False, emoji=False, width=width)

    def render_str(self, text: str, **options: Any) -> Text:
        """Convert a string to text; rich calls this for everything that is printed, including table cells."""
        return super().render_str(printable(text, keep="\n\t"), **options)

    def on_broken_pipe(self) -> None:
        """Leave it to ``main``; rich would exit with 1."""
        raise  # the BrokenPipeError: rich calls this where it handles one


def console() -> Console:
    """A console for standard output, as wide as the terminal, or 100 columns without one."""
    return _Screen()


def show_ranking(ranking: Ranking) -> None:
    """Print the hits of a ranking, one block each, and the timings."""
    screen = console()
    if not ranking.hits:
        screen.print("No passage is relevant enough." if ranking.scored else "No passage matches.")
    for hit in ranking:
        screen.print(_heading(hit), soft_wrap=True)
        if explanation := _explanation(hit, ranking.activation):
            screen.print(Text(f"   {explanation}", style="dim"), soft_wrap=True)
        if reason := _reason(hit):
            screen.print(Text(f"   {reason}", style="dim"), soft_wrap=True)
        screen.print(_indented(_marked(hit), screen), end="\n\n")
    screen.print(_timings(ranking.timings), style="dim")
    for notice in ranking.notices:
        notify(notice)


def show_before_and_after(before: Sequence[Hit], ranking: Ranking) -> None:
    """Print the best hits of the first stage next to those of the reranker."""
    screen = console()
    table = Table(show_header=True, header_style="bold", expand=True, show_lines=True, padding=(0, 1))
    table.add_column("", width=1)
    table.add_column("First stage", ratio=1)
    table.add_column("Reranked", ratio=1)
    for left, right in zip(before, ranking, strict=False):
        table.add_row(
            str(right.rank),
            Group(_first_stage_heading(left), _title(left), _beginning(left.text)),
            Group(
                _heading(right),
                Text(_explanation(right, ranking.activation), style="dim"),
                _title(right),
                _beginning(right.text),
            ),
        )
    screen.print(Text.assemble(("Question:", "bold"), f" {printable(ranking.query)}"))
    screen.print(table)
    screen.print(_timings(ranking.timings), style="dim")
    for notice in ranking.notices:
        notify(notice)


def _heading(hit: Hit) -> Text:
    score = "not scored" if hit.score is None else f"{hit.score:.4f}"
    line = Text(f"{hit.rank}. ", style="bold")
    line.append(score, style="bold green")
    if hit.probability is not None:
        line.append(f"  probability {hit.probability:.2f}", style="green")
    line.append(f"  {_moved(hit)}", style="cyan")
    if hit.window:
        line.append(f"  window {hit.window.number} of {hit.window.count}", style="cyan")
    if hit.truncated_tokens:
        line.append(f"  last {hit.truncated_tokens} tokens not read", style="yellow")
    return line.append(f"  {printable(hit.document.id)}", style="dim")


def _explanation(hit: Hit, activation: str) -> str:
    """How the score was computed; empty if it is the logit, or there is no score.

    Example: ``+0.377 (logit 0.637) +5.370 (similarity 0.725) -5.232 (constant) = 0.515, sigmoid 0.6260``.
    """
    if hit.score is None or hit.contributions == {"logit": hit.score}:
        return ""
    result = "" if activation == "none" else f", {activation} {hit.score:.4f}"
    if hit.contributions == {"logit": hit.logit}:
        return f"logit {hit.logit:.3f}{result}"
    known = {"logit": hit.logit, **hit.candidate.evidence}
    parts = [
        f"{added:+.3f} ({name.replace('_', ' ')}{f' {known[name]:.3f}' if name in known else ''})"
        for name, added in hit.contributions.items()
    ]
    return f"{' '.join(parts)} = {hit.combined_logit:.3f}{result}"


def _reason(hit: Hit) -> str:
    """The best sentence's score and its words; empty if the hit is not explained.

    Example: ``marked sentence 0.9470 (bake, bread)``.
    """
    if not hit.spans:
        return ""
    best = hit.spans[0]
    words = ", ".join(printable(hit.text[word.start : word.end]) for word in best.words)
    return f"marked sentence {best.weight:.4f}{f' ({words})' if words else ''}"


def _first_stage_heading(hit: Hit) -> Text:
    candidate = hit.candidate
    line = Text(f"{candidate.rank}. ", style="bold")
    if candidate.score is not None:
        line.append(f"{candidate.score:.4f}")
    return line.append(f"  {printable(hit.document.id)}", style="dim")


def _moved(hit: Hit) -> str:
    before = hit.candidate.rank
    places = before - hit.rank
    if places == 0:
        return "stays"
    return f"{'up' if places > 0 else 'down'} {abs(places)} from {before}"


def _title(hit: Hit) -> Text:
    return Text(printable(hit.document.title), style="italic")


def _marked(hit: Hit) -> Text:
    """Title and text; the best sentence and its words are marked if the hit is explained."""
    content = hit.document.content
    text = Text(printable(content, keep="\n"))
    before = len(content) - len(hit.text)
    for sentence in hit.spans[:1]:
        text.stylize("yellow", before + sentence.start, before + sentence.end)
        for word in sentence.words:
            text.stylize("bold underline", before + word.start, before + word.end)
    return text


def _indented(text: Text, screen: Console) -> Text:
    """Lines that fit the screen, with three spaces before each, and without blank ones."""
    lines: list[Text] = []
    for paragraph in text.split("\n"):
        start = len(paragraph.plain) - len(paragraph.plain.lstrip())
        lines += paragraph[start:].wrap(screen, screen.width - 3) if paragraph.plain.strip() else []
    for line in lines:
        line.rstrip()
    return Text("\n").join(Text("   ") + line for line in lines)


def _beginning(text: str) -> Text:
    return Text(textwrap.shorten(_text(text).plain, _SIDE_BY_SIDE, placeholder=" ..."))


def _text(text: str) -> Text:
    # Control characters in a document must not reach the terminal, and blank lines are left out.
    lines = (line.strip() for line in text.splitlines())
    return Text("\n".join(printable(line) for line in lines if line))


def _timings(timings: Mapping[str, float]) -> str:
    return "  ".join(f"{_STAGES.get(stage, stage)} {seconds:.3f} s" for stage, seconds in timings.items())
