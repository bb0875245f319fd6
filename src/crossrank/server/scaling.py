"""How many replicas ``crossrank serve --ray`` needs: as many as score what waits in two seconds.

What waits is counted in tokens, since one request may have a thousand times as many as another, and divided
by the tokens that a replica scores in a second. So one target fits a small model on a GPU and a large one on
a CPU.

Ray Serve runs the policy in a process of its own and sends it there by value, so this module imports nothing
of crossrank.
"""

from __future__ import annotations

import math
from typing import Any

METRIC = "queued_seconds"
"""What a replica reports: the tokens that wait or are scored, by those that it scores in a second."""

_TARGET = 2.0


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
    wanted = math.ceil(sum(queued.values()) / _TARGET)
    least, most = context.capacity_adjusted_min_replicas, context.capacity_adjusted_max_replicas
    return max(least, min(wanted, most)), {}
