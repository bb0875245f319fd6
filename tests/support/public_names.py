"""The public names with their signatures: what the API pages of the documentation list, and their members.

python tests/support/public_names.py    # writes tests/package/public_names.txt
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FILE = ROOT / "tests" / "package" / "public_names.txt"


def documented() -> list[str]:
    """The names that the API pages list."""
    pages = sorted((ROOT / "docs" / "api").glob("*.md"))
    return [name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)]


def lines() -> Iterator[str]:
    """One line for each name and each public member of a class."""
    for name in sorted(documented()):
        module, _, last = name.rpartition(".")
        value = getattr(importlib.import_module(module), last)
        if inspect.isclass(value):
            yield f"class {name}{_of_class(value)}"
            yield from (f"  {line}" for line in _members(value))
        else:
            yield f"{name}{inspect.signature(value)}"


def _of_class(value: type) -> str:
    """How it is made; fields for classes of Pydantic, whose signature has those of the framework."""
    if issubclass(value, Exception):
        return f"({', '.join(base.__name__ for base in value.__bases__)})"
    if hasattr(value, "model_fields"):
        own = [base for base in value.__mro__ if base.__module__.startswith("crossrank.")]
        fields: dict[str, Any] = {}
        for base in reversed(own):
            fields |= inspect.get_annotations(base)
        return f"({', '.join(f'{name}: {kind}' for name, kind in fields.items() if name[0] != '_')})"
    try:
        return str(inspect.signature(value))
    except ValueError:
        return "()"


def _members(value: type) -> Iterator[str]:
    for name in sorted(set(dir(value))):
        home = next((base for base in value.__mro__ if name in vars(base)), object)
        if name.startswith("_") or not home.__module__.startswith("crossrank."):
            continue
        member: Any = inspect.getattr_static(value, name)
        if isinstance(member, (property, cached_property)):
            yield name
        elif isinstance(member, (staticmethod, classmethod)):
            yield f"{name}{inspect.signature(getattr(value, name))}"
        elif inspect.isfunction(member):
            yield f"{name}{inspect.signature(member)}"


def text() -> str:
    """The whole list."""
    listed = "\n".join(lines()) + "\n"
    # Annotations of named tuples, which a later Python shows with more in the parentheses.
    listed = re.sub(r"ForwardRef\(('[^']*')[^()]*\)", r"\1", listed)
    listed = re.sub(r"set\(\{(.*?)\}\)", _sorted_set, listed)
    return re.sub(r"<function (\S+) at 0x\w+>|<(\S+) object at 0x\w+>", r"<\1\2>", listed)


def _sorted_set(match: re.Match[str]) -> str:
    return f"set({{{', '.join(sorted(match[1].split(', ')))}}})"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
