"""PyTerrier: a transformer that reranks (extra ``pyterrier``); it needs no Java."""

from __future__ import annotations

import logging
from pathlib import Path

from crossrank.documents import Hit
from crossrank.errors import MissingExtraError
from crossrank.inference.activations import ActivationName
from crossrank.inference.scorer import PairScorer
from crossrank.inference.truncation import OnTruncation
from crossrank.integrations.notices import log_notices
from crossrank.keywords import checked_keywords
from crossrank.models.locate import DEFAULT_CROSS_ENCODER
from crossrank.ranking.long_documents import LongDocuments
from crossrank.ranking.reranker import Reranker

try:
    import pandas as pd
    import pyterrier as pt
except ImportError as error:
    raise MissingExtraError("crossrank.integrations.pyterrier", "pyterrier") from error

logger = logging.getLogger(__name__)
# PyTerrier and trec_eval sort by score, so a candidate without a score needs a number that keeps its
# position: below every logit, and with exact integers in float32, which trec_eval uses.
_UNREAD = -1e6


class CrossrankTransformer(pt.Transformer):
    """Reranks the results of each query with a cross-encoder.

    Takes a data frame with ``qid``, ``query``, ``docno`` and a text column, and returns it sorted within each
    query, best first, with new ``score`` and ``rank`` (from 0, as usual in PyTerrier); other columns are
    kept. Ties keep the order of the original ``rank``, or else of the rows. Candidates that the model cannot
    read are ranked after the others, with scores below -1000000. What :attr:`crossrank.Ranking.notices` has
    is logged as a warning.

    Args:
        model: The name or folder of a cross-encoder, or a loaded one, to share it.
        text_field: The name of the text column.
        activation: From logit to score. Logits by default, since PyTerrier's measures sort by score, and
            scores near 1 can tie when logits do not.
        min_probability: Return only results of at least this probability, none if nothing is relevant; see
            :meth:`crossrank.Reranker.rank`, and so are the next two.
        long_documents: How to read texts that are longer than the model reads.
        on_truncation: What to do if the end of a text was not read: ``warn``, ``error`` or ``ignore``.

    Raises:
        ModelError: The model cannot be loaded, or is not a reranker.

    Example:
        >>> import pandas as pd
        >>> rows = [["q1", "Who bakes bread?", "d1", "A tide table."],
        ...         ["q1", "Who bakes bread?", "d2", "Bakers bake bread."]]
        >>> results = CrossrankTransformer()(pd.DataFrame(rows, columns=["qid", "query", "docno", "text"]))
        >>> list(results["docno"]), list(results["rank"])
        (['d2', 'd1'], [0, 1])
    """

    @checked_keywords()
    def __init__(
        self,
        model: str | Path | PairScorer = DEFAULT_CROSS_ENCODER,
        *,
        text_field: str = "text",
        activation: ActivationName = "none",
        min_probability: float | None = None,
        long_documents: LongDocuments = "truncate",
        on_truncation: OnTruncation = "warn",
    ) -> None:
        self.reranker = Reranker(model)
        self.text_field = text_field
        self.activation = activation
        self.min_probability = min_probability
        self.long_documents: LongDocuments = long_documents
        self.on_truncation: OnTruncation = on_truncation

    def __repr__(self) -> str:
        return f"CrossrankTransformer({self.reranker.model.name!r})"

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Rerank results.

        Args:
            inp: The results of any number of queries.

        Returns:
            The same rows in the new order; ``inp`` is not changed.

        Raises:
            pyterrier.validate.InputValidationError: A column is missing.
            InputError: A query is empty, or a text is not a string.
        """
        pt.validate.columns(inp, includes=["qid", "query", "docno", self.text_field], context=self)
        if inp.empty:
            return inp.assign(score=pd.Series(dtype="float64"), rank=pd.Series(dtype="int64"))
        ordered = inp.sort_values("rank", kind="stable") if "rank" in inp else inp
        groups = [group for _, group in ordered.groupby("qid", sort=False)]
        rankings = self.reranker.rank_many(
            [
                (group["query"].iloc[0], [{"text": text} for text in group[self.text_field]])
                for group in groups
            ],
            activation=self.activation,
            min_probability=self.min_probability,
            long_documents=self.long_documents,
            on_truncation=self.on_truncation,
        )
        log_notices(logger, self.reranker.model, rankings)
        reranked = [
            group.iloc[[hit.candidate.rank - 1 for hit in ranking]].assign(
                score=[_score(hit) for hit in ranking],
                rank=[hit.rank - 1 + pt.model.FIRST_RANK for hit in ranking],
            )
            for group, ranking in zip(groups, rankings, strict=True)
        ]
        return pd.concat(reranked, ignore_index=True)


def _score(hit: Hit) -> float:
    return _UNREAD - hit.rank if hit.score is None else hit.score
