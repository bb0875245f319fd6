"""What a ranking says of itself, for the logs of frameworks whose results have no place for it."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from crossrank.documents import Ranking
from crossrank.inference.scorer import PairScorer


def log_notices(logger: logging.Logger, model: PairScorer, rankings: Iterable[Ranking]) -> None:
    """Log the notices of rankings as warnings, each once.

    Args:
        logger: The adapter's logger.
        model: The model, whose own notices are not repeated: they came when it was loaded.
        rankings: The rankings.
    """
    own = len(model.notices)
    for notice in dict.fromkeys(notice for ranking in rankings for notice in ranking.notices[own:]):
        logger.warning("%s", notice)
