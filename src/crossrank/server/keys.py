"""Keys of clients, in the headers in which they send them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from pathlib import Path

from crossrank.errors import InputError

# Pinecone's, Azure's (which n8n also sends), and what many gateways use.
_KEY_HEADERS = ("api-key", "x-api-key")
_SHORTEST = 8


class Keys:
    """The keys that are accepted. Only their digests are kept.

    Args:
        keys: The keys; without any, everyone is let in.

    Raises:
        InputError: A key is shorter than 8 characters.

    Example:
        >>> keys = Keys(["correct-horse"])
        >>> keys.allow({"authorization": "Bearer correct-horse"}), keys.allow({"authorization": ""})
        (True, False)
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        keys = [key.strip() for key in keys if key.strip()]
        if any(len(key) < _SHORTEST for key in keys):
            raise InputError(
                f"a key must have at least {_SHORTEST} characters; `openssl rand -hex 32` makes one"
            )
        self._digests = [_digest(key) for key in keys]

    def __len__(self) -> int:
        return len(self._digests)

    def allow(self, headers: Mapping[str, str]) -> bool:
        """Whether the headers hold one of the keys, or none is needed.

        Args:
            headers: By lower-case name. The key may be in ``Authorization``, as ``Bearer KEY`` or alone, in
                ``Api-Key`` or in ``X-Api-Key``.
        """
        if not self._digests:
            return True
        # Every key is compared with every digest, in a time that depends on neither.
        sent = [_digest(key) for key in sent_keys(headers)]
        return sum(hmac.compare_digest(given, own) for given in sent for own in self._digests) > 0


def sent_keys(headers: Mapping[str, str]) -> list[str]:
    """The keys in the headers of a request; empty ones are none."""
    authorization = headers.get("authorization", "").strip()
    scheme, _, rest = authorization.partition(" ")
    keys = [rest.strip() if scheme.lower() in {"bearer", "api-key", "token"} else authorization]
    keys += [headers.get(name, "").strip() for name in _KEY_HEADERS]
    return [key for key in keys if key]


def read_keys(file: Path) -> list[str]:
    """The keys in a file, one a line; lines that begin with # are left out.

    Raises:
        InputError: The file cannot be read, or has no key.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the keys in {file} cannot be read: {error}") from error
    keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not keys:
        raise InputError(f"{file} has no key; write one a line")
    return keys


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()
