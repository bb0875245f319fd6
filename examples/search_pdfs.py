"""Search a folder of PDF files on a page in the browser; each hit says its file and page.

pip install 'crossrank[server]'
python examples/search_pdfs.py FOLDER [PORT]

The index is kept in the folder, in .crossrank: the next start reads only what has changed. The same on the
command line:

crossrank index add FOLDER/.crossrank FOLDER --include '*.pdf'
crossrank serve --index FOLDER/.crossrank
"""

import runpy
import sys
from pathlib import Path

from crossrank import Index


def update(index: Index, folder: Path) -> None:
    """Read new and changed files, and say which cannot be searched."""
    report = index.add([folder], include=["*.pdf", "*.PDF"])
    content = index.summary()
    print(f"{content.files} files, {content.documents} pages, {content.passages} passages")
    for sentence in report.skipped + report.notices:  # such as a scan, which needs OCR first
        print(f"- {sentence}")


def main(folder: Path, port: str) -> None:
    """Update the index, then serve it until Ctrl-C."""
    index = folder / ".crossrank"
    update(Index(index), folder)
    # The command line, in this process.
    sys.argv = ["crossrank", "serve", "--index", str(index), "--port", port]
    runpy.run_module("crossrank", run_name="__main__")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "8080")
