"""What an endpoint takes and answers, as bytes: read here and written here, for handlers and server alike.

docs/sagemaker.md describes it for those who call an endpoint.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from crossrank.errors import CrossrankError

JSON = "application/json"
JSON_LINES = "application/jsonlines"
CSV = "text/csv"
# SageMaker's name for JSON Lines is the first; the others are what else is sent under it.
_JSON_LINES = frozenset({JSON_LINES, "application/jsonl", "application/x-jsonlines", "application/x-ndjson"})
_PAIRS = ("pairs", "text_pairs")
_RANKING = ("query", "documents", "top_n", "return_documents")
_FORMS = '{"pairs": [[query, passage], ...]} or {"query": ..., "documents": [...]}'


class RequestError(CrossrankError):
    """A request that cannot be answered.

    Args:
        status: The HTTP status to answer with.
        message: What was wrong and what to do, for whoever sent it.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """One request: pairs to score and, where documents are to be ranked, how.

    Attributes:
        pairs: (query, passage) each.
        documents: As they were sent, where a query with documents was; None for pairs.
        top_n: How many results to name; all by default.
        return_documents: Whether results hold their documents.
    """

    pairs: Sequence[tuple[str, str]]
    documents: Sequence[Any] | None = None
    top_n: int | None = None
    return_documents: bool = False

    def answer(self, logits: Sequence[float]) -> dict[str, Any]:
        """The answer to this request, given a logit for each pair."""
        if self.documents is None:
            return {"scores": logits}
        # Sorting is stable, so that ties keep the order in which documents were sent.
        order = sorted(range(len(logits)), key=lambda i: -logits[i])[: self.top_n]
        results = [
            {"index": i, "score": logits[i]}
            | ({"document": self.documents[i]} if self.return_documents else {})
            for i in order
        ]
        return {"scores": logits, "results": results}


@dataclass(frozen=True, slots=True)
class Invocation:
    """All that came in one body, and the form of the answer.

    Attributes:
        requests: One; of JSON Lines, one a line.
        answer_type: The content type of the answer.
    """

    requests: Sequence[ScoringRequest]
    answer_type: str

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of all requests, in order."""
        return [pair for request in self.requests for pair in request.pairs]

    def answer(self, logits: Sequence[float]) -> bytes:
        """The body of the answer, given a logit for each of :attr:`pairs`.

        Raises:
            RequestError: A logit is not a number, which JSON cannot hold.
        """
        if self.answer_type == CSV:
            return "".join(f"{logit!r}\n" for logit in logits).encode()
        rest = iter(logits)
        answers = [request.answer(list(islice(rest, len(request.pairs)))) for request in self.requests]
        try:
            lines = [json.dumps(answer, ensure_ascii=False, allow_nan=False) for answer in answers]
        except ValueError as error:
            raise RequestError(500, "the model gave a score that is not a number") from error
        text = "\n".join([*lines, ""] if self.answer_type == JSON_LINES else lines)
        # Half a character, which a document that is sent back may hold, goes as it came: as JSON escapes it.
        return text.encode(errors="backslashreplace")


def read_invocation(
    body: bytes | bytearray | str, content_type: str | None = None, accept: str | None = None
) -> Invocation:
    """Read what came in one body.

    Args:
        body: The bytes; text where something before has decoded them.
        content_type: JSON by default. A charset is heeded.
        accept: What the answer may be; anything by default.

    Raises:
        RequestError: It is no request, or cannot be answered in an accepted form.

    Example:
        >>> invocation = read_invocation(b'{"pairs": [["Who bakes bread?", "Bakers bake bread."]]}')
        >>> invocation.pairs
        [('Who bakes bread?', 'Bakers bake bread.')]
        >>> invocation.answer([7.5])
        b'{"scores": [7.5]}'
    """
    media_type, charset = _media_type(content_type)
    answer_type = _answer_type(accept, lines=media_type == JSON_LINES)
    text = body if isinstance(body, str) else _decoded(bytes(body), charset)
    text = text.removeprefix("\ufeff")
    if media_type == CSV:
        return Invocation([ScoringRequest(list(_csv_pairs(text)))], answer_type)
    if media_type == JSON:
        return Invocation([_request(_json(text, "the body"), "")], answer_type)
    # Only line feeds end lines here: a JSON string may hold other separators as they are.
    lines = ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())
    requests = [_request(_json(line, f"line {number}"), f"line {number}: ") for number, line in lines]
    if not requests:
        raise RequestError(400, f"the body is empty; send {_FORMS}, one a line")
    return Invocation(requests, answer_type)


def _media_type(content_type: str | None) -> tuple[str, str]:
    """Which of the three forms, and the charset."""
    given, *parameters = (part.strip() for part in (content_type or JSON).split(";"))
    media_type = given.lower() or JSON
    charset = "utf-8"
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value:
            charset = value.strip().strip("\"'")
    if media_type in _JSON_LINES:
        return JSON_LINES, charset
    if media_type in (JSON, CSV):
        return media_type, charset
    raise RequestError(
        415, f"the content type {given!r:.80} is not known; send {JSON}, {JSON_LINES} or {CSV} (Content-Type)"
    )


def _answer_type(accept: str | None, *, lines: bool) -> str:
    # The lines of an answer are JSON each, so that who accepts JSON gets them: SageMaker's toolkit puts JSON
    # where a caller accepts anything.
    usual = JSON_LINES if lines else JSON
    for part in (accept or "*/*").split(","):
        wanted, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if any(parameter.replace(" ", "") in {"q=0", "q=0.0"} for parameter in parameters):
            continue
        if wanted in {"", "*/*", "application/*", JSON}:
            return usual
        if wanted in _JSON_LINES:
            return JSON_LINES
        if wanted in {CSV, "text/*"}:
            return CSV
    raise RequestError(406, f"there is no answer in {accept!r:.80}; accept {JSON}, {JSON_LINES} or {CSV}")


def _decoded(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset)
    except UnicodeError as error:
        raise RequestError(
            400, f"the body is not valid {charset}: {error}. Send UTF-8, or name the charset in Content-Type"
        ) from error
    except (LookupError, ValueError) as error:
        raise RequestError(415, f"the charset {charset!r:.40} is not known; send UTF-8") from error


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise RequestError(400, f"{place} is nested too deeply; send {_FORMS}") from error
    except ValueError as error:
        raise RequestError(400, f"{place} is not JSON: {error}. Send {_FORMS}") from error


def _csv_pairs(text: str) -> Iterator[tuple[str, str]]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in rows:
            if len(row) == 2:
                yield row[0], row[1]
            elif row:
                raise RequestError(
                    400,
                    f"line {rows.line_num} has {len(row)} columns; each line holds a query and a passage, "
                    "without a header (quote texts with commas)",
                )
    except csv.Error as error:
        raise RequestError(400, f"line {rows.line_num} is not CSV: {error}") from error


def _request(payload: Any, where: str) -> ScoringRequest:
    """A request from what its JSON holds; ``where`` begins the message if it is none."""
    if not isinstance(payload, Mapping):
        raise RequestError(400, f"{where}the request must be a JSON object, {_FORMS}; it is {_kind(payload)}")
    keys = payload.keys()
    if unknown := sorted(keys - {*_PAIRS, *_RANKING}):
        raise RequestError(400, f"{where}{unknown[0]!r:.40} is not known in a request; send {_FORMS}")
    forms = [key for key in (*_PAIRS, "query") if key in keys]
    if len(forms) != 1 or (forms[0] in _PAIRS and len(keys) > 1):
        given = ", ".join(keys) or "nothing"
        raise RequestError(400, f"{where}a request holds either pairs or a query with documents, {_FORMS}; "
                                f"it holds {given}")  # fmt: skip
    if forms[0] in _PAIRS:
        return ScoringRequest(_pairs(payload[forms[0]], f"{where}{forms[0]}"))
    return _ranking(payload, where)


def _pairs(pairs: Any, name: str) -> list[tuple[str, str]]:
    if not isinstance(pairs, list):
        raise RequestError(400, f"{name} must be a list of [query, passage]; it is {_kind(pairs)}")
    for position, pair in enumerate(pairs):
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
            raise RequestError(
                400, f"{name}[{position}] must be two strings, [query, passage]; it is {json.dumps(pair):.80}"
            )
    return [(query, passage) for query, passage in pairs]


def _ranking(payload: Mapping[str, Any], where: str) -> ScoringRequest:
    query, documents = payload["query"], payload.get("documents")
    top_n, return_documents = payload.get("top_n"), payload.get("return_documents", False)
    if not isinstance(query, str):
        raise RequestError(400, f"{where}query must be a string; it is {_kind(query)}")
    if not isinstance(documents, list):
        raise RequestError(400, f"{where}documents must be a list of strings; it is {_kind(documents)}")
    if top_n is not None and (not isinstance(top_n, int) or isinstance(top_n, bool) or top_n < 1):
        raise RequestError(400, f"{where}top_n must be a whole number from 1; it is {json.dumps(top_n):.40}")
    if not isinstance(return_documents, bool):
        raise RequestError(
            400, f"{where}return_documents must be true or false; it is {_kind(return_documents)}"
        )
    pairs = [(query, _text(document, position, where)) for position, document in enumerate(documents)]
    return ScoringRequest(pairs, documents, top_n, return_documents)


def _text(document: Any, position: int, where: str) -> str:
    text = document.get("text") if isinstance(document, Mapping) else document
    if isinstance(text, str):
        return text
    raise RequestError(
        400,
        f"{where}documents[{position}] must be a string, or an object with a string in 'text'; "
        f"it is {json.dumps(document):.80}",
    )


def _kind(value: Any) -> str:
    if value is None:
        return "missing or null"
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "a string", list: "a list"}
    return kinds.get(type(value), "an object")
