"""Wire formats: how one API's requests are read and answered, a file each.

A wire format reads a body as :class:`~crossrank.server.request.RerankRequest` and writes a body of
:class:`~crossrank.server.request.RerankAnswer`. It knows neither HTTP nor models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from crossrank.server.request import RequestError, RerankAnswer, RerankRequest

Body: TypeAlias = bytes | bytearray | str


class Call(Protocol):
    """A body that was read."""

    @property
    def wire(self) -> WireFormat:
        """The format that it is in."""
        ...

    @property
    def requests(self) -> Sequence[RerankRequest]:
        """What it asks for; several where a body may hold several, such as JSON Lines."""
        ...

    @property
    def answer_type(self) -> str:
        """The content type of the answer."""
        ...

    def write(self, answers: Sequence[RerankAnswer]) -> bytes:
        """The body of the answer.

        Args:
            answers: One for each of :attr:`requests`, in their order.

        Raises:
            RequestError: An answer cannot be written in this format.
        """
        ...


class WireFormat(Protocol):
    """One API."""

    @property
    def paths(self) -> Sequence[str]:
        """Where it is served, with POST."""
        ...

    def read(self, body: Body, content_type: str | None, accept: str | None) -> Call:
        """Read a body.

        Args:
            body: The bytes; text where something before has decoded them.
            content_type: What the caller says that it is; None: nothing was said.
            accept: What the answer may be; None: anything.

        Raises:
            RequestError: It is no request, or cannot be answered in a form that is accepted.
        """
        ...

    def error(self, error: RequestError) -> Any:
        """What clients of this API read an error from, as a JSON value."""
        ...
