"""What the package imports is what it declares."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Where a distribution is not called as the module that it brings.
DISTRIBUTIONS = {
    "bs4": "beautifulsoup4",
    "docx": "python-docx",
    "faiss": "faiss-cpu",
    "sklearn": "scikit-learn",
    "starlette": "fastapi",
    "yaml": "pyyaml",
}
EXTRAS = {
    "conversion": "",
    "families": "[torch]",
    "inference": "[torch]",
    "server": "[server,mcp,ray]",
    "text": "[docx]",
    "training": "[train]",
}


def declared(requirements: list[str]) -> set[str]:
    """The names of distributions, those of the extras that they name included."""
    names: set[str] = set()
    for requirement in requirements:
        name, extras = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?", requirement).groups()  # type: ignore[union-attr]
        if name == "crossrank":
            for extra in extras.split(","):
                names |= declared(PROJECT["optional-dependencies"][extra])
        else:
            names.add(name.lower().replace("_", "-"))
    return names


def imported(folder: Path) -> set[str]:
    names: set[str] = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"crossrank"}


@pytest.mark.parametrize("room", EXTRAS)
def test_what_a_room_imports_is_a_dependency_or_in_its_extra(room: str) -> None:
    needed = {DISTRIBUTIONS.get(name, name) for name in imported(ROOT / "src" / "crossrank" / room)}
    extra = [f"crossrank{EXTRAS[room]}"] if EXTRAS[room] else []
    assert {name.replace("_", "-") for name in needed} <= declared([*PROJECT["dependencies"], *extra])
