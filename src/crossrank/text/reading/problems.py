"""Why a file gives no documents, where callers tell the reasons apart."""

from __future__ import annotations

from crossrank.errors import InputError


class NoTextError(InputError):
    """A file that can be read, and holds no text."""


class RecordError(InputError):
    """A record that is malformed, or that has the id of another one."""
