"""Architectures, one file per architecture.

A module of this package that defines ``FAMILY`` is an architecture; there is no list to add it to. What the
files share is in ``graphs/`` (OpenVINO) and ``networks/`` (PyTorch).
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from crossrank.families.family import Family

_registered: dict[str, Family] = {}


def register(family: Family) -> None:
    """Add an architecture that is described outside this package, or replace one of this package's.

    Args:
        family: The architecture. Models whose ``model_type`` is one of its names run by it from then on.

    Example:
        >>> register(Family(names=("my-bert",)))
        >>> family_of("my-bert").names
        ('my-bert',)
    """
    _registered.update(dict.fromkeys(family.names, family))


def is_registered(family: Family) -> bool:
    """Whether an architecture was added by :func:`register`."""
    return any(family is known for known in _registered.values())


def family_of(name: str) -> Family:
    """The architecture of a name.

    Args:
        name: ``model_type`` in config.json.

    Returns:
        Its record; for an architecture that is not known here, one that leaves everything to transformers.

    Example:
        >>> family_of("xlm-roberta").pad_token_id
        1
        >>> family_of("unheard-of").graph is None
        True
    """
    return _known().get(name) or Family(names=(name,))


def family_of_config(config: Mapping[str, Any]) -> Family:
    """The architecture of a model.

    Args:
        config: config.json. If it names Python code of the repository's own (``auto_map``), a family that
            knows all its classes of networks goes before that of ``model_type``.

    Example:
        >>> code = {"AutoModel": "jinaai/jina-bert-implementation--modeling_bert.JinaBertModel"}
        >>> family_of_config({"model_type": "bert", "auto_map": code}).names
        ('jina-bert',)
    """
    if classes := own_classes(config):
        for family in _known().values():
            if classes <= family.known_code:
                return family
    return family_of(str(config.get("model_type", "unknown")))


def own_classes(config: Mapping[str, Any]) -> frozenset[str]:
    """The names of the networks in a repository's own Python code; empty if it has none.

    Example:
        >>> sorted(own_classes({"auto_map": {"AutoConfig": "code.MyConfig", "AutoModel": "code.MyModel"}}))
        ['MyModel']
    """
    given = config.get("auto_map")
    named = given.items() if isinstance(given, dict) else []
    return frozenset(str(code).rsplit(".", 1)[-1] for name, code in named if name.startswith("AutoModel"))


def names_with_graph() -> list[str]:
    """The names of the architectures that OpenVINO runs from safetensors, in alphabetical order."""
    return sorted(name for name, family in _known().items() if family.graph is not None)


def _known() -> dict[str, Family]:
    return _own() | _registered


# At the first question, not at import: the files import OpenVINO.
@cache
def _own() -> dict[str, Family]:
    modules = (import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    families = [family for module in modules if (family := getattr(module, "FAMILY", None)) is not None]
    return {name: family for family in families for name in family.names}
