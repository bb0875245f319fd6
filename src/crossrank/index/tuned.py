"""Weights that were learnt for an index: how much a model's logit counts next to its evidence."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict

from crossrank.errors import InputError
from crossrank.inference.interpolation import Interpolation, interpolation_from

_NAME = "interpolations"


def read_interpolations(database: sqlite3.Connection) -> dict[str, Interpolation]:
    """The weights by the fingerprint of the cross-encoder.

    Raises:
        InputError: They were altered.
    """
    try:
        return {model: interpolation_from(saved) for model, saved in _saved(database).items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            "the weights that were learnt for the index are damaged; learn them again: crossrank eval --tune"
        ) from error


def write_interpolation(
    database: sqlite3.Connection, model: str, interpolation: Interpolation | None
) -> None:
    """Keep the weights for a cross-encoder, or remove them; the caller commits."""
    try:
        kept = _saved(database)
    except ValueError:
        kept = {}
    kept.pop(model, None)
    if interpolation is not None:
        kept[model] = asdict(interpolation)
    database.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (_NAME, json.dumps(kept)))


def _saved(database: sqlite3.Connection) -> dict[str, dict[str, object]]:
    row = database.execute("SELECT value FROM setting WHERE name = ?", (_NAME,)).fetchone()
    return {} if row is None else dict(json.loads(row[0]))
