"""Errors for files without documents, for callers that treat them differently."""

from __future__ import annotations

from crossrank.errors import InputError


class NoTextError(InputError):
    """A readable file without text."""


class RecordError(InputError):
    """A record that is malformed, or has the same id as another one."""
