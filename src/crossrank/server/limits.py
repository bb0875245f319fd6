"""How much a request may ask for."""

from __future__ import annotations

from dataclasses import dataclass

# The largest body that SageMaker sends: a batch transform with MaxPayloadInMB=100.
MAX_BODY = 100 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of requests. ``/invocations`` has only that of the body: SageMaker sets the others itself.

    Attributes:
        max_body: The size of a body in bytes.
        max_documents: The documents of a request.
        max_tokens: The tokens of all pairs of a request; None: any number.
        max_requests: The requests that wait or run at a time.
        timeout: Seconds until a request must be answered.
    """

    max_body: int = MAX_BODY
    max_documents: int = 10_000
    max_tokens: int | None = None
    max_requests: int = 512
    timeout: float = 60.0


LIMITS = Limits()
"""The usual limits."""
