"""Evaluation measures of a run, per query and on average."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from crossrank.errors import InputError, MissingExtraError
from crossrank.evaluation.qrels import Qrels
from crossrank.evaluation.runs import Run, trec_order

MEASURES = ("nDCG@10", "MRR@10", "recall@100", "Judged@10")
"""What :func:`evaluate_run` measures, each between 0 and 1:

- nDCG@10: graded gain of the first ten, against the best order of the judged (Järvelin and Kekäläinen 2002;
  trec_eval's form: the gain is the grade).
- MRR@10: 1 / rank of the first relevant document, 0 if it is not among the first ten.
- recall@100: the share of the relevant documents that are among the first hundred.
- Judged@10: the share of the first ten that somebody judged. Where it is low, the others are underestimates.
"""

RELEVANT_FROM = 1
"""The grade from which MRR@10 and recall@100 call a document relevant: any positive one, as BEIR does.

The TREC Deep Learning tracks count from grade 2 in their binary measures, so their published MRR and recall
are not these; nDCG@10 uses the grades themselves and is the same.
"""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The evaluation of a run.

    Attributes:
        means: Measure to its mean over all judged queries, between 0 and 1; in the order of ``MEASURES``.
        per_query: Query id to measure to value, for all judged queries in the order of the judgements.

    Example:
        >>> Evaluation(means={"nDCG@10": 0.5}, per_query={"q1": {"nDCG@10": 0.5}}).means["nDCG@10"]
        0.5
    """

    means: Mapping[str, float]
    per_query: Mapping[str, Mapping[str, float]]


def require_eval() -> None:
    """Check that the extra is installed before hours of ranking, not after.

    Raises:
        MissingExtraError: ir_measures is not installed.
    """
    try:
        import ir_measures  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Evaluation", "eval") from error


def evaluate_run(run: Run, qrels: Qrels) -> Evaluation:
    """Measure a run against judgements with ir_measures.

    Every judged query counts: one that the run does not have, or has no documents for, counts 0 in each
    measure. Queries without judgements are left out.

    Documents are ranked once, as trec_eval does (:func:`~crossrank.evaluation.runs.trec_order`), and all
    measures see that ranking. ir_measures alone would break ties one way for nDCG and recall, and the other
    way for MRR@10 and Judged@10. To have equal scores stay in your own order, pass ``untied(run)``.

    Args:
        run: Query id to document id to score, higher is better.
        qrels: Query id to document id to grade.

    Returns:
        The mean and the value per query, for each measure in ``MEASURES``.

    Raises:
        InputError: There are no judgements, the run and they have no query in common, or a score is no
            finite number.
        MissingExtraError: ir_measures is not installed.

    Example:
        >>> evaluation = evaluate_run({"q1": {"d1": 2.0, "d2": 1.0}}, {"q1": {"d2": 1}, "q2": {"d1": 1}})
        >>> evaluation.per_query["q1"]["MRR@10"], evaluation.means["MRR@10"]
        (0.5, 0.25)

    Source:
        MacAvaney, Macdonald and Ounis, Streamlining Evaluation with ir-measures (ECIR 2022),
        https://ir-measur.es.
    """
    require_eval()
    import ir_measures

    if not any(query in qrels for query in run):
        raise InputError(
            f"the run ({len(run)} queries) and the judgements ({len(qrels)}) have no query in common: "
            "take both from the same collection and split"
        )
    measures = {
        ir_measures.nDCG @ 10: "nDCG@10",
        ir_measures.RR(rel=RELEVANT_FROM) @ 10: "MRR@10",
        ir_measures.R(rel=RELEVANT_FROM) @ 100: "recall@100",
        ir_measures.Judged @ 10: "Judged@10",
    }
    judged = {query: dict(grades) for query, grades in qrels.items()}
    # A query without documents would divide by zero in Judged@10; without it ir_measures fills in the 0.
    ranked = {query: _by_rank(query, run[query]) for query in judged if run.get(query)}
    values: dict[str, dict[str, float]] = {query: dict.fromkeys(MEASURES, 0.0) for query in judged}
    for metric in ir_measures.iter_calc(list(measures), judged, ranked):
        values[metric.query_id][measures[metric.measure]] = float(metric.value)
    means = {name: fmean(value[name] for value in values.values()) for name in MEASURES}
    return Evaluation(means, values)


def _by_rank(query: str, scores: Mapping[str, float]) -> dict[str, float]:
    return {document: -float(rank) for rank, document in enumerate(trec_order(query, scores))}
