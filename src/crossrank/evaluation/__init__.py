"""Evaluation: measures, comparisons and plots from judged collections and runs."""

from crossrank.evaluation.collection import Collection, load_collection
from crossrank.evaluation.compare import Comparison, compare, mean_interval
from crossrank.evaluation.experiment import (
    Experiment,
    candidates_of_run,
    retrieve_candidates,
    run_experiment,
)
from crossrank.evaluation.measures import MEASURES, Evaluation, evaluate_run, require_eval
from crossrank.evaluation.plot import plot_comparison, require_plot
from crossrank.evaluation.qrels import Qrels, load_qrels
from crossrank.evaluation.runs import Run, read_run, untied, write_run

__all__ = [
    "MEASURES",
    "Collection",
    "Comparison",
    "Evaluation",
    "Experiment",
    "Qrels",
    "Run",
    "candidates_of_run",
    "compare",
    "evaluate_run",
    "load_collection",
    "load_qrels",
    "mean_interval",
    "plot_comparison",
    "read_run",
    "require_eval",
    "require_plot",
    "retrieve_candidates",
    "run_experiment",
    "untied",
    "write_run",
]
