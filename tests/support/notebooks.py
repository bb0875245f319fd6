"""The notebooks of examples/, run in a kernel of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"
PNG = b"\x89PNG\r\n\x1a\n"


def committed(name: str) -> Any:
    """A notebook as it is in the repository."""
    return nbformat.read(EXAMPLES / name, as_version=4)


def executed(name: str, folder: Path) -> Any:
    """The notebook after a run, offline; an error in a cell raises here."""
    notebook = committed(name)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    with pytest.MonkeyPatch.context() as patch:
        # No models from the network, and neither settings nor kernels of whoever runs this.
        patch.setenv("CROSSRANK_OFFLINE", "1")
        patch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
        patch.delenv("MPLBACKEND", raising=False)
        for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(variable, str(folder / variable.lower()))
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    return notebook


def outputs(notebook: Any, cell_id: str) -> list[Any]:
    """What a cell gave."""
    (cell,) = (cell for cell in notebook.cells if cell.id == cell_id)
    return list(cell.outputs)


def printed(notebook: Any, cell_id: str) -> list[str]:
    """The lines that a cell printed, which may come in several parts."""
    texts = [output.text for output in outputs(notebook, cell_id) if output.output_type == "stream"]
    return "".join(texts).splitlines()
