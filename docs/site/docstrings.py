"""Docstrings as the site shows them: references to other names become links where the name has a page."""

import re
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":(class|func|meth|attr|mod|data):`~?\.?([^`]+)`")


class Docstrings(Extension):
    """Reads the references of the docstrings (``:class:`crossrank.Index```) and their examples."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of an object when it has been read."""
        if obj.docstring:
            text = _ROLE.sub(_link, obj.docstring.value)
            obj.docstring.value = re.sub(r"^( *)Example:$", r"\1Examples:", text, flags=re.MULTILINE)


def _link(match: re.Match[str]) -> str:
    name = match[2].rpartition(".")[2]
    return f'<autoref identifier="{match[2]}" optional><code>{name}</code></autoref>'
