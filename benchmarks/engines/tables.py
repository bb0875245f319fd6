"""The figures as pages: one of each kind of processor, and one of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.engines.cases import ETTIN, ETTIN_32M, GTE, MINILM, MXBAI, XLM_R
from benchmarks.engines.figures import best_peer, compared, percentile, seconds_of, spread
from benchmarks.engines.machine import kind_of
from benchmarks.engines.sides import BUNDLED, EXACT, REFERENCE, SAME, SIDES

_NOTHING = "–"
_KINDS = {
    "short": "30 to 60 tokens",
    "mixed": "16 to 512 tokens",
    "long": "512 tokens",
    "very-long": "2,000 tokens",
}
_MODELS = {
    MINILM: "MiniLM-L6, the bundled reranker",
    XLM_R: "XLM-RoBERTa-base with random weights",
    ETTIN: "the shape of ettin-reranker-17m with random weights",
    ETTIN_32M: "the shape of ettin-reranker-32m with random weights",
    GTE: "the shape of gte-reranker-modernbert-base with random weights",
    MXBAI: "the shape of mxbai-rerank-xsmall-v1 with random weights",
}


def overview(kinds: Mapping[str, Mapping[str, Any]]) -> str:
    """The page of all kinds of processor, in Markdown.

    Args:
        kinds: The figures of each, by its short name.
    """
    parts = [_head()]
    for short, figures in kinds.items():
        parts += [_machine(figures, level=2), _in_short(figures)]
        parts.append(f"[Every side, case by case: agreement, memory and settings](engines/{short}.md)")
    return "\n\n".join(parts) + "\n"


def page(short: str, figures: Mapping[str, Any]) -> str:
    """The page of one kind of processor, in Markdown.

    Args:
        short: Its short name.
        figures: Its figures.
    """
    parts = [_machine(figures, level=1), _lengths(figures), "## In short", _in_short(figures)]
    parts += [_relative(figures), _pictures(short), _cost(figures)]
    parts += [_case_table(model, case) for model, case in _cases(figures)]
    parts += [_settings(figures), _not_run(figures)]
    return "\n\n".join(part for part in parts if part) + "\n"


def title(model: str, case: Mapping[str, Any]) -> str:
    """What a case is called, for people."""
    return f"{model}, {case['count']:,} {case['kind']}"


def _cases(figures: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for model, block in figures["models"].items():
        for case in block["cases"]:
            yield model, case


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _names(case: Mapping[str, Any]) -> list[str]:
    return [side.name for side in SIDES if side.name in case["sides"]]


def _cell(values: Sequence[float] | None, form: str = ".2f") -> str:
    return spread(values, form) if values else _NOTHING


def _head() -> str:
    return f"""# Engines side by side

    make bench

Written by `python -m benchmarks.engines`, which replaces the table of the kind of processor that it runs on
and keeps the others. It compares crossrank with other rerankers on a CPU, with the same weights, texts and
number of threads.

Each side runs in its own process and environment, and waits while another is measured. In each round, every
side scores all candidates of one question once; the next round uses the next question and starts with another
side. A ratio compares pairs per second within a round; the tables show its median, minimum and maximum. After
an uncounted warm-up round, there are as many rounds as fit into the time of a case, only one for large cases.
If the batch size can be chosen, 4, 8, 16 and 32 are tried on the case itself. Large cases leave out
LangChain, which uses sentence-transformers, and settings that cannot be the best of their library.

Passages are made of sentences from the sample texts: short ones have {_KINDS["short"]}, mixed ones
{_KINDS["mixed"]}, long ones {_KINDS["long"]} (their pairs are truncated to the model's limit), very long ones
{_KINDS["very-long"]}.

The tables give crossrank's speed as a multiple of the speed of {REFERENCE}' default, and of the peer that is
the fastest in that case, at its best setting. *int8*: the weights are stored in int8, as those of the bundled
model are. *float32*: they are stored in float32, and crossrank chooses the arithmetic by timing. *exact*:
they are stored in float32, and so is the arithmetic."""


def _machine(figures: Mapping[str, Any], *, level: int) -> str:
    machine = figures["machine"]
    _, name = kind_of(machine)
    flags = ", ".join(machine["flags"]) or "none that is known"
    blocks = figures["models"].values()
    runs = dict.fromkeys((block["date"], block["command"]) for block in blocks)
    measured = "; ".join(f"{date}, `{command}`" for date, command in runs)
    return f"""{"#" * level} {name}

Measured on {machine["processors"]} processors ({flags}), {machine["system"]}, Python {machine["python"]}:
{measured}."""


def _lengths(figures: Mapping[str, Any]) -> str:
    lengths = "; ".join(
        f"{title(model, case)}: {case['tokens']:.0f} tokens" for model, case in _cases(figures)
    )
    return (
        f"Mean length of the passages, by MiniLM's tokenizer: {lengths}. How it is measured: "
        "[engines](../engines.md)."
    )


def _in_short(figures: Mapping[str, Any]) -> str:
    ours = (("int8", BUNDLED), ("float32", SAME), ("exact", EXACT))
    rows = []
    for model, case in _cases(figures):
        best = best_peer(case)
        cells = [_cell(compared(case, base, side)) for _, side in ours for base in (REFERENCE, best)]
        rows.append([title(model, case), best or _NOTHING, *cells])
    header = ["case", "best peer"]
    header += [f"{name}: to {base}" for name, _ in ours for base in (REFERENCE, "the best peer")]
    return _table(header, rows)


def _relative(figures: Mapping[str, Any]) -> str:
    cases = list(_cases(figures))
    rows = []
    for side in SIDES:
        values = [compared(case, REFERENCE, side.name) for _, case in cases]
        rows.append([side.name, *(_cell([percentile(v, 0.5)] if v else None) for v in values)])
    header = ["side", *(title(model, case) for model, case in cases)]
    return (
        f"## Pairs per second, as a ratio to {REFERENCE}' default\n\nMedians; {_NOTHING}: not measured.\n\n"
        + _table(header, rows)
    )


def _pictures(short: str) -> str:
    return (
        f"![Pairs per second of every side]({short}-speed.svg)\n\n"
        f"![Load time and peak memory of every side]({short}-cost.svg)"
    )


def _cost(figures: Mapping[str, Any]) -> str:
    parts = []
    for model, block in figures["models"].items():
        rows = []
        for side in (side for side in SIDES if side.name in block["load"]):
            agreement = block["agreement"].get(side.name, {})
            digits = {"logit": ".4f", "probability": ".4f", "spearman": ".4f", "nDCG@10": ".4f"}
            cells = [
                format(agreement[name], form) if agreement.get(name) is not None else _NOTHING
                for name, form in digits.items()
            ]
            rows.append([side.name, spread(block["load"][side.name], ".2f"), peak(block, side.name), *cells])
        header = [
            "side",
            "load, s",
            "peak memory, MB",
            "largest difference, logit",
            "largest difference, 0 to 1",
        ]
        header += ["Spearman", "nDCG@10"]
        parts.append(f"## Load, memory and agreement: {_MODELS[model]}\n\n" + _table(header, rows))
    explained = f"""Load is the time from the import to a model that can score, in a new process, once per
case. Peak memory is that of the last case in which most sides take part. Scores are compared with those of
{REFERENCE}' default, over the judged questions ({figures["judged"]}, BM25's best 20) and one question of
every case. Random weights rank nothing, so they have no nDCG@10. FlashRank returns only probabilities."""
    return "\n\n".join([*parts, explained])


def peak(block: Mapping[str, Any], name: str) -> str:
    """Peak memory in MB after the last of the cases in which most sides of a model took part."""
    whole = max(len(case["sides"]) for case in block["cases"])
    measured = [
        case["sides"][name]["memory"]
        for case in block["cases"]
        if len(case["sides"]) == whole and "memory" in case["sides"].get(name, {})
    ]
    return str(measured[-1]) if measured else _NOTHING


def _case_table(model: str, case: Mapping[str, Any]) -> str:
    best = best_peer(case)
    rows = []
    for name in _names(case):
        seconds = seconds_of(case, name)
        if not seconds:
            rows.append([name, *[_NOTHING] * 7])
            continue
        measured = case["sides"][name]
        rows.append(
            [
                name,
                str(measured["batch"] or "its own"),
                format(case["count"] / percentile(seconds, 0.5), ".1f"),
                _cell(compared(case, REFERENCE, name)),
                _cell(compared(case, best, name)),
                format(1000 * percentile(seconds, 0.5), ".0f"),
                format(1000 * percentile(seconds, 0.95), ".0f"),
                str(measured["memory"]),
            ]
        )
    header = ["side", "batch", "pairs a second", f"ratio to {REFERENCE}", "ratio to the best peer"]
    header += ["p50, ms", "p95, ms", "peak memory, MB"]
    rounds = f"{case['rounds']} rounds" if case["rounds"] > 1 else "One round"
    return f"## {title(model, case)}\n\n{rounds}. Best peer: {best or 'none'}.\n\n" + _table(header, rows)


def _settings(figures: Mapping[str, Any]) -> str:
    rows = []
    for side in SIDES:
        versions = figures["versions"].get(side.name, {})
        batch = "; best of batches of 4, 8, 16 and 32" if side.chooses_batch else ""
        rows.append(
            [
                side.name,
                side.words + batch,
                ", ".join(f"{name} {number}" for name, number in versions.items()),
            ]
        )
    return "## Settings and versions\n\n" + _table(["side", "setting", "versions"], rows)


def _not_run(figures: Mapping[str, Any]) -> str:
    lines = []
    for model, block in figures["models"].items():
        lines += [f"- {model}, {name}: {why}" for name, why in block["failed"].items()]
        for case in block["cases"]:
            lines += [
                f"- {title(model, case)}, {name}: {measured['failed']}"
                for name, measured in case["sides"].items()
                if "failed" in measured
            ]
            absent = [
                side.name
                for side in SIDES
                if side.name not in case["sides"] and side.name not in block["failed"]
            ]
            if absent:
                lines.append(f"- {title(model, case)}: {'; '.join(absent)} left out to save time")
    return "## Not run\n\n" + ("\n".join(lines) or "Nothing: every side ran in every case.")
