"""SageMaker's ``/invocations``: pairs, or a query with documents, as JSON, JSON Lines or CSV, to logits.

docs/sagemaker.md describes it for those who call an endpoint.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

from crossrank.inference.pairs import Pair
from crossrank.server.request import RequestError, RerankAnswer, RerankRequest, SentDocument
from crossrank.server.wire import Body
from crossrank.server.wire.json_format import JsonCall
from crossrank.server.wire.tei import TeiRerank

JSON = "application/json"
JSON_LINES = "application/jsonlines"
CSV = "text/csv"
# The first is SageMaker's name for JSON Lines; the others are also in use.
_JSON_LINES = frozenset({JSON_LINES, "application/jsonl", "application/x-jsonlines", "application/x-ndjson"})
_PAIRS = ("pairs", "text_pairs")
_RANKING = ("query", "documents", "top_n", "return_documents")
_FORMS = '{"pairs": [[query, passage], ...]} or {"query": ..., "documents": [...]}'


@dataclass(frozen=True, slots=True)
class _Part:
    """One JSON object, or the rows of a CSV body.

    Attributes:
        requests: A query with its documents; of pairs, one for each run of pairs with the same query.
        is_ranking: Whether the answer names the best, too.
    """

    requests: Sequence[RerankRequest]
    is_ranking: bool = False

    def answer(self, answers: Sequence[RerankAnswer]) -> dict[str, Any]:
        """The answer, given one for each of the requests."""
        scores = {"scores": [result.score for answer in answers for result in answer.results]}
        if not self.is_ranking:
            return scores
        [ranking] = answers
        results = [
            {"index": result.index, "score": result.score}
            | ({"document": result.document.sent} if ranking.request.return_documents else {})
            for result in ranking.best()
        ]
        return {**scores, "results": results}


@dataclass(frozen=True, slots=True)
class Invocation:
    """The content of a request body; see :class:`crossrank.server.wire.Call`."""

    parts: Sequence[_Part]
    answer_type: str

    @property
    def wire(self) -> SageMaker:
        """SageMaker's."""
        return SageMaker()

    @property
    def requests(self) -> list[RerankRequest]:
        """Those of all parts, in order."""
        return [request for part in self.parts for request in part.requests]

    def write(self, answers: Sequence[RerankAnswer]) -> bytes:
        """The body of the answer.

        Raises:
            RequestError: A score is not a number, which JSON cannot hold.
        """
        if self.answer_type == CSV:
            return "".join(f"{result.score!r}\n" for answer in answers for result in answer.results).encode()
        rest = iter(answers)
        bodies = [part.answer(list(islice(rest, len(part.requests)))) for part in self.parts]
        try:
            lines = [json.dumps(body, ensure_ascii=False, allow_nan=False) for body in bodies]
        except ValueError as error:
            raise RequestError(500, "the model gave a score that is not a number") from error
        text = "\n".join([*lines, ""] if self.answer_type == JSON_LINES else lines)
        # Half a character, which a document that is sent back may hold, goes as it came: as JSON escapes it.
        return text.encode(errors="backslashreplace")


class SageMaker:
    """The wire format of a SageMaker endpoint; see :class:`crossrank.server.wire.WireFormat`.

    A body with ``texts`` is TEI's, which Hugging Face's container answers at the same path.
    """

    paths = ("/invocations", "/sagemaker/invocations")

    def read(
        self, body: Body, content_type: str | None = None, accept: str | None = None
    ) -> Invocation | JsonCall:
        """Read a body.

        Args:
            body: The bytes; text where something before has decoded them.
            content_type: JSON by default. A charset is heeded.
            accept: What the answer may be; anything by default.

        Raises:
            RequestError: It is no request, or cannot be answered in an accepted form.

        Example:
            >>> invocation = SageMaker().read(b'{"pairs": [["Who bakes bread?", "Bakers bake bread."]]}')
            >>> invocation.requests[0].pairs
            [('Who bakes bread?', 'Bakers bake bread.')]
        """
        media_type, charset = _media_type(content_type)
        answer_type = _answer_type(accept, lines=media_type == JSON_LINES)
        text = body if isinstance(body, str) else _decoded(bytes(body), charset)
        text = text.removeprefix("\ufeff")
        if media_type == CSV:
            return Invocation([_scoring(_csv_pairs(text))], answer_type)
        if media_type == JSON:
            payload = _json(text, "the body")
            if answer_type == JSON and isinstance(payload, Mapping) and "texts" in payload:
                return TeiRerank().call(payload)
            return Invocation([_part(payload, "")], answer_type)
        # Only line feeds end lines here: a JSON string may hold other separators as they are.
        lines = ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())
        parts = [_part(_json(line, f"line {number}"), f"line {number}: ") for number, line in lines]
        if not parts:
            raise RequestError(400, f"the body is empty; send {_FORMS}, one a line")
        return Invocation(parts, answer_type)

    def error(self, error: RequestError) -> dict[str, str]:
        """``{"error": message}``."""
        return {"error": str(error)}


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


def _csv_pairs(text: str) -> Iterator[Pair]:
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


def _part(payload: Any, where: str) -> _Part:
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
        return _scoring(_pairs(payload[forms[0]], f"{where}{forms[0]}"))
    return _ranking(payload, where)


def _pairs(pairs: Any, name: str) -> list[Pair]:
    if not isinstance(pairs, list):
        raise RequestError(400, f"{name} must be a list of [query, passage]; it is {_kind(pairs)}")
    for position, pair in enumerate(pairs):
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
            raise RequestError(
                400, f"{name}[{position}] must be two strings, [query, passage]; it is {json.dumps(pair):.80}"
            )
    return [(query, passage) for query, passage in pairs]


def _scoring(pairs: Iterable[Pair]) -> _Part:
    """Pairs to score; those in a row that have the same query are one request."""
    return _Part(
        [
            RerankRequest(query, [SentDocument(text, text) for _, text in group], raw_scores=True)
            for query, group in groupby(pairs, key=itemgetter(0))
        ]
    )


def _ranking(payload: Mapping[str, Any], where: str) -> _Part:
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
    sent = [
        SentDocument(_text(document, position, where), document)
        for position, document in enumerate(documents)
    ]
    return _Part([RerankRequest(query, sent, top_n, return_documents, raw_scores=True)], is_ranking=True)


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
