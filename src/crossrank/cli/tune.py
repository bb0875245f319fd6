"""crossrank eval --tune: learn how much a model counts in an index, and say whether it helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crossrank.cli.judged import measured
from crossrank.cli.output import notify, print_json, progress_bar

if TYPE_CHECKING:
    from crossrank.documents import Candidate
    from crossrank.evaluation import Collection
    from crossrank.index import Index
    from crossrank.inference.interpolation import Interpolation
    from crossrank.ranking.reranker import Reranker


def tune(
    collection: Collection,
    found: Mapping[str, Sequence[Candidate]],
    reranker: Reranker,
    *,
    own: Interpolation | None,
    candidates: int,
    embedder: str,
    index: Index | None,
    self_made: bool,
    as_json: bool,
) -> None:
    """Learn the weights, report, and keep them in the index if there is one."""
    from crossrank.evaluation.judged import judged_queries
    from crossrank.evaluation.tuning import tune as learn

    with progress_bar("Scoring", sum(len(row[:candidates]) for row in found.values())) as progress:
        judged = judged_queries(collection, found, reranker, candidates=candidates, progress=progress)
    model = reranker.model
    learnt = learn(judged, collection.qrels, own, embedder=embedder, self_made=self_made)
    if index is not None:
        index.keep_interpolation(model.fingerprint, learnt.interpolation if learnt.is_kept else None)
    report = {
        "dataset": collection.name,
        "model": model.name,
        "candidates": candidates,
        "index": None if index is None else str(index.path),
        **learnt.to_dict(),
    }
    if as_json:
        print_json(report)
        return
    _print_report(report)
    if index is None:
        notify("nothing was kept: the weights belong to an index; name it with --index INDEX")
    if self_made:
        notify(
            "the questions were made of the passages' own words, which favours searches by words; judged "
            "questions say more"
        )


def _print_report(report: dict[str, Any]) -> None:
    from rich.table import Table

    from crossrank.cli.screen import console

    screen = console()
    screen.print(measured(report))
    table = Table("nDCG@10", "", "difference", "95% interval", "p")
    table.add_row("first stage", f"{report['first_stage']:.4f}", "", "", "")
    for name in ("reranked", "interpolated"):
        row = report[name]
        low, high = row["interval_95"]
        table.add_row(
            name,
            f"{row['nDCG@10']:.4f}",
            f"{row['difference']:+.4f}",
            f"[{low:+.4f}, {high:+.4f}]",
            f"{row['p_value']:.4f}",
        )
    screen.print(table)
    weights = report["weights"][-1]
    screen.print("weights: " + ", ".join(f"{name} {value:.3f}" for name, value in weights.items()))
    verdict = report["verdict"]
    screen.print(f"{verdict[0].upper()}{verdict[1:]}.")
