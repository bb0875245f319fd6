"""How many replicas ``crossrank serve --ray`` needs: as many as score what waits in two seconds.

What waits is counted in tokens, since one request may have a thousand times as many as another, and divided
by the tokens that a replica scores in a second. So one target fits a small model on a GPU and a large one on
a CPU. The number of requests counts only before a queue refuses more, which many short ones can reach sooner.

Ray Serve runs the policy in a process of its own and sends it there by value, so this module imports nothing
of crossrank.
"""

from __future__ import annotations

import math
from typing import Any

METRIC = "replicas_needed"
"""What a replica reports: how many replicas what it has would keep busy, a number such as 1.4."""

_SECONDS = 2.0
# Of the requests that a replica takes, so that others are there before it refuses any.
_SHARE = 0.5


def replicas_needed(seconds: float, requests: int, max_requests: int) -> float:
    """How many replicas what a replica has would keep busy.

    Args:
        seconds: What it needs for the tokens that wait or are scored.
        requests: The requests that wait or run.
        max_requests: The requests at which it refuses more.
    """
    return max(seconds / _SECONDS, requests / (_SHARE * max_requests))


def replicas_for_queue(context: Any) -> tuple[int, dict[str, Any]]:
    """How many replicas there should be; Ray Serve's delays apply to it.

    Args:
        context: Ray Serve's ``AutoscalingContext``. Its ``aggregated_metrics`` have :data:`METRIC` of each
            replica that has reported, as the mean over the last seconds.

    Returns:
        The number, and nothing to remember.
    """
    queued = (context.aggregated_metrics or {}).get(METRIC)
    if not queued:  # no replica has reported
        return context.target_num_replicas, {}
    wanted = math.ceil(sum(queued.values()))
    least, most = context.capacity_adjusted_min_replicas, context.capacity_adjusted_max_replicas
    return max(least, min(wanted, most)), {}
