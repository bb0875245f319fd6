"""Settings from environment variables, and the version."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VERSION = "0.1.0"
"""The version of crossrank; pyproject.toml has the same."""


def is_offline() -> bool:
    """Whether CROSSRANK_OFFLINE or HF_HUB_OFFLINE forbids the network."""
    return any(
        os.environ.get(name, "").strip().lower() in {"1", "true", "yes", "on"}
        for name in ("CROSSRANK_OFFLINE", "HF_HUB_OFFLINE")
    )


def cache_folder() -> Path:
    """The folder for what was measured on this machine: CROSSRANK_CACHE, or the user's cache folder.

    It may not exist. Nothing in it is needed: what is missing is measured again.
    """
    if given := os.environ.get("CROSSRANK_CACHE", "").strip():
        return Path(given)
    if sys.platform == "win32":
        parent = Path(os.environ.get("LOCALAPPDATA") or Path("~/AppData/Local").expanduser())
    elif sys.platform == "darwin":
        parent = Path("~/Library/Caches").expanduser()
    else:
        parent = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    return parent / "crossrank"
