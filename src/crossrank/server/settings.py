"""The settings of ``crossrank serve``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossrank.errors import InputError
from crossrank.server.guard import is_loopback
from crossrank.server.keys import Keys, read_keys
from crossrank.server.limits import LIMITS, Limits
from crossrank.server.model_source import container_model_dir

if TYPE_CHECKING:
    from crossrank.inference.arithmetic import Precision

PORT = 8080


@dataclass(frozen=True)
class Settings:
    """The settings of a server.

    Attributes:
        models: Names or folders; the first answers where no other is asked for. Empty: the container's, else
            the bundled one.
        index: The index to search.
        device: See :class:`crossrank.CrossEncoder`.
        precision: See :class:`crossrank.CrossEncoder`.
        threads: See :class:`crossrank.CrossEncoder`.
        host: The address to listen on; None: 127.0.0.1, in a SageMaker container all addresses.
        port: The port to listen on.
        keys: Keys that are accepted.
        key_file: A file with further keys, one a line.
        without_key: Whether to listen beyond this machine without a key.
        allow_hosts: Names that the Host of requests may have, besides this machine's.
        allow_origins: Origins of pages that may send requests.
        limits: The limits of requests.
        strict_model_names: Whether a request that names another model is refused.
        unload_after: Seconds without a request after which a model is unloaded; None: never.
        score_cache: ``memory`` or a file: scores are kept, and not computed again; None: they are not kept.
    """

    models: tuple[str, ...] = ()
    index: Path | None = None
    device: str | None = None
    precision: Precision = "auto"
    threads: int | None = None
    host: str | None = None
    port: int = PORT
    keys: tuple[str, ...] = field(default=(), repr=False)
    key_file: Path | None = None
    without_key: bool = False
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    limits: Limits = LIMITS
    strict_model_names: bool = False
    unload_after: float | None = None
    score_cache: str | None = None

    @property
    def address(self) -> str:
        """Where to listen: in a SageMaker container on all addresses, elsewhere on this machine's own."""
        return self.host or ("0.0.0.0" if container_model_dir().is_dir() else "127.0.0.1")

    def read_keys(self) -> Keys:
        """The accepted keys.

        Raises:
            InputError: The file cannot be read, a key is too short, or there is none and the server would
                listen beyond this machine.
        """
        keys = Keys([*self.keys, *(read_keys(self.key_file) if self.key_file else ())])
        # SageMaker's network lets nobody else in.
        if self.host and not is_loopback(self.host) and not keys and not self.without_key:
            raise InputError(
                f"on {self.host}, others could use this server without a key; set CROSSRANK_API_KEY or "
                "--key-file, or allow it with --without-key"
            )
        return keys

    @property
    def hosts(self) -> tuple[str, ...] | None:
        """The names that the Host of requests may have, besides this machine's; None: any.

        On this machine's own address, only foreign pages in a browser come with another name. Beyond it, a
        server may have any name.
        """
        return self.allow_hosts if self.allow_hosts or is_loopback(self.address) else None

    def shown(self) -> dict[str, Any]:
        """The settings as they are in effect, for JSON; keys are counted, not shown."""
        return {
            "models": list(self.models),
            "index": None if self.index is None else str(self.index),
            "device": self.device or "cpu",
            "precision": self.precision,
            "host": self.address,
            "port": self.port,
            "keys": f"{len(self.keys)} hidden",
            "key_file": None if self.key_file is None else str(self.key_file),
            "without_key": self.without_key,
            "allow_hosts": list(self.allow_hosts),
            "allow_origins": list(self.allow_origins),
            "max_body": self.limits.max_body,
            "max_documents": self.limits.max_documents,
            "max_tokens": self.limits.max_tokens,
            "max_requests": self.limits.max_requests,
            "timeout": self.limits.timeout,
            "strict_model_names": self.strict_model_names,
            "unload_after": self.unload_after,
            "score_cache": self.score_cache,
        }
