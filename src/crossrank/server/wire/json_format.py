"""What wire formats of one JSON object in, and one JSON value out, have in common."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from crossrank.server.request import RequestError, RerankAnswer, RerankRequest
from crossrank.server.wire import Body
from crossrank.server.wire.fields import Fields, parse_json, with_own_fields
from crossrank.server.wire.results import error_body

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class JsonCall:
    """A JSON body that was read; see :class:`crossrank.server.wire.Call`.

    Attributes:
        wire: The format that it is in.
        requests: What it asks for.
        form: What the format remembers of the body for the answer.
    """

    wire: JsonFormat
    requests: Sequence[RerankRequest]
    form: Any = None
    answer_type = JSON

    def write(self, answers: Sequence[RerankAnswer]) -> bytes:
        """The body of the answer.

        Raises:
            RequestError: A score is not a number, which JSON cannot hold.
        """
        return json_bytes(self.wire.answers(answers, self.form))


class JsonFormat(ABC):
    """One API whose requests and answers are JSON; see :class:`crossrank.server.wire.WireFormat`.

    Attributes:
        name: The name of the API in docs and in the server's own description.
        paths: Where it is served.
        invalid: The HTTP status for fields that are wrong.
        schema: The JSON schema of a request.
        example: A request.
    """

    name: ClassVar[str]
    paths: ClassVar[tuple[str, ...]]
    invalid: ClassVar[int] = 400
    schema: ClassVar[dict[str, Any]]
    example: ClassVar[dict[str, Any]]

    def read(self, body: Body, content_type: str | None = None, accept: str | None = None) -> JsonCall:
        """Read a body; the content type is not looked at, since clients send any.

        Raises:
            RequestError: It is no request.
        """
        return self.call(parse_json(body))

    def call(self, payload: Any) -> JsonCall:
        """Read what a body's JSON holds.

        Raises:
            RequestError: It is no request.
        """
        fields = Fields(payload, status=self.invalid)
        return JsonCall(self, [with_own_fields(self.request(fields), fields)])

    def request(self, fields: Fields) -> RerankRequest:
        """A request from its fields.

        Raises:
            RequestError: A field is wrong.
        """
        raise NotImplementedError

    def answers(self, answers: Sequence[RerankAnswer], form: Any) -> Any:
        """The JSON value of the answers to the requests of one body."""
        return self.answer(answers[0])

    @abstractmethod
    def answer(self, answer: RerankAnswer) -> Any:
        """The JSON value of an answer."""

    def error(self, error: RequestError) -> Any:
        """A body that the clients of all APIs with ``results`` can read."""
        return error_body(error)


def json_bytes(value: Any) -> bytes:
    """A JSON value in UTF-8.

    Raises:
        RequestError: It holds what is not a number.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise RequestError(500, "the model gave a score that is not a number") from error
    # Half a character, which a document that is sent back may hold, goes as it came: as JSON escapes it.
    return text.encode(errors="backslashreplace")
