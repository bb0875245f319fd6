"""What the environment says: offline or not, and where throw-away data is kept."""

from __future__ import annotations

import os
from pathlib import Path


def is_offline() -> bool:
    """Whether CROSSRANK_OFFLINE or HF_HUB_OFFLINE forbids the network."""
    return any(
        os.environ.get(name, "").strip().lower() in {"1", "true", "yes", "on"}
        for name in ("CROSSRANK_OFFLINE", "HF_HUB_OFFLINE")
    )


def cache_folder() -> Path:
    """The folder for throw-away data: CROSSRANK_CACHE, else the platform's cache folder.

    Everything under it can be deleted at any time. Downloaded models are not here: huggingface_hub keeps
    them in its own cache (HF_HOME), which other tools share.
    """
    if configured := os.environ.get("CROSSRANK_CACHE"):
        return Path(configured).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "crossrank"
