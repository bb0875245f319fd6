"""How much disk the default install takes, and how long importing it takes.

    python benchmarks/install_size.py

Installs this checkout into a new virtual environment, without and with compiled bytecode (pip's --no-compile
leaves the bytecode of modules that are never used away). pip itself does not count.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_OURS = ("pip", "setuptools", "pkg_resources", "_distutils_hack")


def size(site: Path) -> float:
    """Megabytes (10^6) of what the install brought."""
    entries = [entry for entry in site.iterdir() if not entry.name.startswith(NOT_OURS)]
    files = (file for entry in entries for file in ([entry] if entry.is_file() else entry.rglob("*")))
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def main() -> None:
    """Install twice and print."""
    print("| default install | size |\n|---|---|")
    for flags in (["--no-compile"], []):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            python = Path(folder, "bin", "python")
            subprocess.run([python, "-m", "pip", "install", "-q", *flags, str(ROOT)], check=True)
            site = next(Path(folder, "lib").glob("python*/site-packages"))
            print(f"| pip install {' '.join([*flags, 'crossrank'])} | {size(site):.0f} MB |")
            if not flags:
                times = [import_time(python) for _ in range(9)]
                print(f"\nimport crossrank: {statistics.median(times) * 1000:.1f} ms (median of 9)")


def import_time(python: Path) -> float:
    """Seconds that ``import crossrank`` takes in a new process, the interpreter's own start not counted."""
    code = "import time; t = time.perf_counter(); import crossrank; print(time.perf_counter() - t)"
    return float(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
