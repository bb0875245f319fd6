"""One model with all sides: load, agreement, time, memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.engines.agreement import compare_scores, ndcg
from benchmarks.engines.cases import MINILM, Case, write_judged, write_lists
from benchmarks.engines.environments import PEERS, PeerError, interpreter
from benchmarks.engines.machine import describe_machine, memory_limit
from benchmarks.engines.measuring import measure_case
from benchmarks.engines.models import write_folders
from benchmarks.engines.process import PeerProcess
from benchmarks.engines.sides import BATCHES, REFERENCE, SIDES, Side

from crossrank.evaluation import Collection

# Each side's scores, by the case that they are of, a list a question.
Scores = dict[str, dict[str, list[list[float]]]]


def compare_sides(
    model: str, cases: Sequence[Case], collection: Collection, work: Path
) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """Measure the cases of one model.

    Args:
        model: A name of those in cases.py.
        cases: Its cases.
        collection: The judged one.
        work: An empty folder for models and texts.

    Returns:
        The figures, and the package versions of each side.
    """
    sides = [side for side in SIDES if any(takes_part(side, case) for case in cases)]
    folders, reasons = write_folders(model, work)
    block: dict[str, Any] = {"load": {}, "failed": {}, "agreement": {}, "cases": []}
    block["failed"] = {side.name: reasons[side.folder] for side in sides if side.folder in reasons}
    running = _Running(sides, folders, block)
    scores: Scores = {side.name: {} for side in sides}
    try:
        for case in cases:
            # In new processes: what a library keeps of one case would be missing from the memory of all.
            running.load(case)
            if model == MINILM and case == cases[0]:
                running.rank_judged(collection, work / "judged.json", scores)
            file = work / f"{case.name}.json"
            tokens = write_lists(case, file)
            measured, given = measure_case(case, file, running.sides, running.processes)
            about = {"name": case.name, "count": case.count, "kind": case.kind, "tokens": round(tokens, 1)}
            block["cases"].append(about | measured)
            for name, values in given.items():
                scores[name][case.name] = [values]
    finally:
        running.close()
    for name, found in agreement(scores, running.scales).items():
        block["agreement"].setdefault(name, {}).update(found)
    return block, running.versions


def takes_part(side: Side, case: Case) -> bool:
    """Whether a side is measured on a case."""
    return side.in_large or not case.is_large


def agreement(scores: Scores, scales: dict[str, str]) -> dict[str, dict[str, float | None]]:
    """Compare each side with the reference, on what both have scored; empty without a reference."""
    reference = scores.get(REFERENCE, {})
    found = {}
    for name, own in scores.items():
        shared = [case for case in reference if case in own]
        if shared:
            expected, given = (
                [values for case in shared for values in side[case]] for side in (reference, own)
            )
            found[name] = compare_scores(expected, given, scales[name])
    return found


class _Running:
    """The processes of all sides, with what they said when they loaded."""

    def __init__(self, sides: Sequence[Side], folders: dict[str, Path], block: dict[str, Any]) -> None:
        self._all, self._folders, self._block = sides, folders, block
        self.processes: dict[str, PeerProcess] = {}
        self.versions: dict[str, dict[str, str]] = {}
        self.scales: dict[str, str] = {}

    @property
    def sides(self) -> list[Side]:
        """Those that can score."""
        return [side for side in self._all if side.name in self.processes]

    def load(self, case: Case) -> None:
        """Load the model with every side that takes part in a case, in new processes."""
        self.close()
        for side in self._all:
            if takes_part(side, case) and side.name not in self._block["failed"]:
                print(f"{case.name}: loading with {side.name}", file=sys.stderr, flush=True)
                try:
                    self._load(side)
                except PeerError as error:
                    self._give_up(side, error)

    def _load(self, side: Side) -> None:
        process = PeerProcess([interpreter(side.environment), str(PEERS / side.script)])
        self.processes[side.name] = process
        answer = process.ask(
            load=str(self._folders[side.folder]),
            setting=side.setting,
            threads=describe_machine()["processors"],
            memory=memory_limit(),
        )
        self._block["load"].setdefault(side.name, []).append(round(answer["seconds"], 3))
        self.versions[side.name], self.scales[side.name] = answer["versions"], answer["scale"]

    def rank_judged(self, collection: Collection, file: Path, scores: Scores) -> None:
        """Score the judged lists with every side; nDCG@10 goes into the figures."""
        ids = write_judged(collection, file)
        for side in self.sides:
            print(f"Judged questions: {side.name}", file=sys.stderr, flush=True)
            batch = BATCHES[-2] if side.chooses_batch else None
            process = self.processes[side.name]
            try:
                lists = [
                    process.ask(score=str(file), list=number, first=None, batch=batch)["scores"]
                    for number in range(len(ids))
                ]
            except PeerError as error:
                self._give_up(side, error)
                continue
            scores[side.name]["judged"] = lists
            self._block["agreement"][side.name] = {"nDCG@10": round(ndcg(ids, lists, collection.qrels), 4)}

    def close(self) -> None:
        """End all processes."""
        for side in self._all:
            self._end(side)

    def _give_up(self, side: Side, error: PeerError) -> None:
        self._block["failed"][side.name] = str(error)
        self._end(side)

    def _end(self, side: Side) -> None:
        if process := self.processes.pop(side.name, None):
            process.close()
