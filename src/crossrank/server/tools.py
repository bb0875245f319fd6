"""The tools that assistants call over MCP: search, fetch and rerank; the protocol is in ``mcp.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from crossrank.documents import Document, Hit
from crossrank.server.request import RequestError
from crossrank.server.search_request import MAX_CANDIDATES, SearchRequest, check_names, count
from crossrank.server.searching import IndexSearch, Progress

# As many candidates as the default of every search, and more if more results are wanted.
_CANDIDATES = 20
_MOST_RESULTS = 100
# How much of its file a fetched passage is returned with, in characters on either side.
_AROUND = 4000
# How many sentences of a result are returned with explain: what an assistant reads, its user pays for.
_SENTENCES = 3

_Call = Callable[[IndexSearch, Mapping[str, Any], Progress | None], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class SearchTool:
    """A tool.

    Attributes:
        name: What assistants call it by.
        title: Its name for people.
        description: What it does, for the assistant.
        input_schema: Its arguments, as a JSON schema.
        output_schema: Its result, as a JSON schema.
        call: Takes the index, the arguments and a progress function, and returns the result. It raises
            RequestError with one sentence if the arguments cannot be used.
    """

    name: str
    title: str
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    call: _Call


def instructions(search: IndexSearch) -> str:
    """What an assistant should know of this server, made from the state of the index."""
    state = search.state()
    if state["problem"] is not None:
        return (
            f"There is nothing to search yet: {state['problem']}. The tool rerank works without an index: it "
            "orders texts that you have by their relevance to a question."
        )
    if not state["passages"]:
        return (
            f"The index {state['path']} is empty; files are added with: crossrank index add {state['path']} "
            "PATH... The tool rerank works without it."
        )
    sources = ", ".join(state["sources"][:5])
    more = f" and {len(state['sources']) - 5} more places" if len(state["sources"]) > 5 else ""
    fields = ", ".join(name for name in state["fields"][:20] if name != "source")
    return " ".join(
        [
            f"Searches {_counted(state['files'], 'file')} ({_counted(state['passages'], 'passage')}) from "
            f"{sources}{more}.",
            "Use search first, with a question in full sentences; results are ordered by a cross-encoder, "
            "which reads question and passage together.",
            "Use fetch with a result's id to read its surroundings in the file before you rely on it.",
            "Use rerank to order texts of your own.",
            "Cite the file and line of what you use.",
            f"Filters can use the metadata fields {fields}, for example year>=2020." if fields else "",
        ]
    ).strip()


def _search(search: IndexSearch, arguments: Mapping[str, Any], progress: Progress | None) -> dict[str, Any]:
    check_names(arguments, SEARCH.input_schema)
    top_n = count("top_n", arguments.get("top_n", 10), _MOST_RESULTS)
    rerank = arguments.get("rerank", True)
    if not isinstance(rerank, bool):
        raise RequestError(400, f"rerank must be true or false; it is {rerank!r:.40}")
    values = _given(arguments, "filters")
    asked = SearchRequest.of({**values, "top_n": top_n, "candidates": max(_CANDIDATES, top_n)})
    if not rerank:
        if asked.explain or asked.min_probability is not None or asked.long_documents != "truncate":
            raise RequestError(400, "min_probability, explain and long_documents need rerank to be true")
        found = search.retrieve(asked)
        return {"results": [_result(one.document) for one in found], "notices": []}
    ranking = search.search(asked, progress)
    results = [{**_result(hit.document, hit.score, hit.probability), **_parts(hit, asked)} for hit in ranking]
    return {"results": results, "notices": list(ranking.notices)}


def _fetch(search: IndexSearch, arguments: Mapping[str, Any], _: Progress | None) -> dict[str, Any]:
    check_names(arguments, FETCH.input_schema)
    passage_id = arguments.get("id")
    if not isinstance(passage_id, str):
        raise RequestError(400, "id must be a string; take it from a result of search")
    found = search.passage(passage_id, _AROUND)
    passage = found.passage
    result = _result(passage)
    del result["score"], result["probability"]
    return {
        **result,
        "text": f"{found.before}{passage.text}{found.after}",
        "metadata": {**passage.metadata, "passage": passage.text, "complete": found.complete},
    }


def _rerank(search: IndexSearch, arguments: Mapping[str, Any], progress: Progress | None) -> dict[str, Any]:
    check_names(arguments, RERANK.input_schema)
    documents = arguments.get("documents")
    if not isinstance(documents, list) or not all(isinstance(text, str) for text in documents):
        raise RequestError(400, "documents must be a list of strings")
    if len(documents) > MAX_CANDIDATES:
        raise RequestError(
            400, f"there are {len(documents):,} documents; at most {MAX_CANDIDATES:,} are taken"
        )
    asked = SearchRequest.of({**_given(arguments), "top_n": arguments.get("top_n")})
    ranking = search.rerank(asked, documents, progress)
    results = [
        {
            "index": hit.candidate.rank - 1,
            "score": hit.score,
            "probability": hit.probability,
            "text": hit.text,
            **_parts(hit, asked),
        }
        for hit in ranking
    ]
    return {"results": results, "notices": list(ranking.notices)}


def _given(arguments: Mapping[str, Any], *more: str) -> dict[str, Any]:
    """The arguments of both searches and rerankings that were sent, and ``more`` of them."""
    names = ("query", "min_probability", "explain", "long_documents", *more)
    return {name: arguments[name] for name in names if name in arguments}


def _parts(hit: Hit, asked: SearchRequest) -> dict[str, Any]:
    """The parts of a hit's text that its score comes from."""
    parts: dict[str, Any] = {"window": None if hit.window is None else [hit.window.start, hit.window.end]}
    if asked.explain:
        parts["spans"] = [
            {
                "text": hit.text[span.start : span.end],
                "start": span.start,
                "end": span.end,
                "weight": span.weight,
                "words": [hit.text[word.start : word.end] for word in span.words],
            }
            for span in hit.spans[:_SENTENCES]
        ]
    return parts


def _result(
    passage: Document, score: float | None = None, probability: float | None = None
) -> dict[str, Any]:
    """A passage as assistants expect it; ChatGPT reads id, title, text and url."""
    file = str(passage.metadata["file"])
    line, page = passage.metadata.get("line"), passage.metadata.get("page")
    return {
        "id": passage.id,
        "title": passage.title or Path(file).name,
        "url": _address(passage, file),
        "text": passage.text,
        "score": score,
        "probability": probability,
        "file": file,
        "line": line if isinstance(line, int) else None,
        "page": page if isinstance(page, int) else None,
    }


def _address(passage: Document, file: str) -> str:
    """The web address in a passage's metadata, else that of its file."""
    url = passage.metadata.get("url")
    if isinstance(url, str):
        try:
            if urlsplit(url).scheme in ("http", "https"):
                return url
        except ValueError:
            pass
    return Path(file).as_uri()


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


_TEXT = {"type": "string"}
_NUMBER = {"type": ["integer", "null"]}
_SCORE = {"type": ["number", "null"], "description": "Relevance; null if it was not computed."}
_PROBABILITY = {
    "type": ["number", "null"],
    "description": "The probability that the passage is relevant; null if the model is not calibrated.",
}
_WINDOW = {
    "type": ["array", "null"],
    "items": {"type": "integer"},
    "description": "Where the best part of a long text begins and ends, in characters; null if it was "
    "read at once.",
}
_NOTICES = {"type": "array", "items": _TEXT, "description": "Warnings; usually empty."}
_PASSAGE = {
    "id": _TEXT,
    "title": _TEXT,
    "url": _TEXT,
    "text": _TEXT,
    "file": _TEXT,
    "line": {**_NUMBER, "description": "The line it begins at, for text files."},
    "page": {**_NUMBER, "description": "The page, for PDF files."},
}


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


_SPANS = {
    "type": "array",
    "items": _object(
        {
            "text": _TEXT,
            "start": {"type": "integer"},
            "end": {"type": "integer"},
            "weight": {"type": "number", "description": "The relevance of this sentence alone, from 0 to 1."},
            "words": {
                "type": "array",
                "items": _TEXT,
                "description": "Its words that count most; of the best sentence alone.",
            },
        }
    ),
    "description": f"With explain: the {_SENTENCES} sentences that the score can come from, best first.",
}
# Arguments of both search and rerank.
_MIN_PROBABILITY = {
    "type": "number",
    "minimum": 0,
    "maximum": 1,
    "description": "Return only results of at least this probability of being relevant; none if nothing is "
    "relevant.",
}
_EXPLAIN = {
    "type": "boolean",
    "default": False,
    "description": "Whether results have spans, the sentences that answer best; takes longer.",
}
_LONG_DOCUMENTS = {
    "enum": ["truncate", "windows", "first"],
    "default": "truncate",
    "description": "How to read texts of more than a page or so: truncate cuts off their end, windows reads "
    "all of them in parts, first reads the first part.",
}


def _results(properties: dict[str, Any]) -> dict[str, Any]:
    one = _object({**properties, "window": _WINDOW, "spans": _SPANS}, [*properties])
    return _object({"results": {"type": "array", "items": one}, "notices": _NOTICES})


SEARCH = SearchTool(
    "search",
    "Search the indexed files",
    "Search the user's indexed files for passages that answer a question, best first. Each result has an id "
    "for fetch, its text, score, file and line.",
    _object(
        {
            "query": {**_TEXT, "description": "The question, in full sentences."},
            "top_n": {
                "type": "integer",
                "minimum": 1,
                "maximum": _MOST_RESULTS,
                "default": 10,
                "description": "How many results to return.",
            },
            "filters": {
                "type": "array",
                "items": _TEXT,
                "default": [],
                "description": "Conditions on the metadata, such as year>=2020; all must hold.",
            },
            "rerank": {
                "type": "boolean",
                "default": True,
                "description": "Whether a cross-encoder orders the results; false is faster and less exact.",
            },
            "min_probability": _MIN_PROBABILITY,
            "explain": _EXPLAIN,
            "long_documents": _LONG_DOCUMENTS,
        },
        ["query"],
    ),
    _results({**_PASSAGE, "score": _SCORE, "probability": _PROBABILITY}),
    _search,
)
FETCH = SearchTool(
    "fetch",
    "Read around a passage",
    "Read a passage that search found, with the text around it in its file.",
    _object({"id": {**_TEXT, "description": "The id of a search result."}}),
    _object(
        {
            **_PASSAGE,
            "metadata": {
                "type": "object",
                "description": "The metadata of the passage; passage is its own text, and complete says "
                "whether text is all of the file.",
            },
        }
    ),
    _fetch,
)
RERANK = SearchTool(
    "rerank",
    "Order texts by relevance",
    "Order texts by how well they answer a question. index is the position in the list that was sent.",
    _object(
        {
            "query": {**_TEXT, "description": "The question."},
            "documents": {
                "type": "array",
                "items": _TEXT,
                "maxItems": MAX_CANDIDATES,
                "description": "The texts.",
            },
            "top_n": {"type": "integer", "minimum": 1, "description": "How many to return; all by default."},
            "min_probability": _MIN_PROBABILITY,
            "explain": _EXPLAIN,
            "long_documents": _LONG_DOCUMENTS,
        },
        ["query", "documents"],
    ),
    _results({"index": {"type": "integer"}, "score": _SCORE, "probability": _PROBABILITY, "text": _TEXT}),
    _rerank,
)
TOOLS = (SEARCH, FETCH, RERANK)
