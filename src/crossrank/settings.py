"""Settings from environment variables."""

from __future__ import annotations

import os


def is_offline() -> bool:
    """Whether CROSSRANK_OFFLINE or HF_HUB_OFFLINE forbids the network."""
    return any(
        os.environ.get(name, "").strip().lower() in {"1", "true", "yes", "on"}
        for name in ("CROSSRANK_OFFLINE", "HF_HUB_OFFLINE")
    )
