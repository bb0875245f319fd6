"""What fills the disk of the fixture ``small_disk``, and what makes it larger."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def fill(disk: Path, left: int) -> Path:
    """A file that leaves this many bytes on the disk."""
    ballast = disk / "ballast"
    ballast.write_bytes(b"0" * max(0, shutil.disk_usage(disk).free - left))
    return ballast


def enlarge(disk: Path) -> None:
    """Give the disk 40 MB."""
    subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
