"""The values that flow through crossrank: documents go in, a ranking of hits comes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias, overload

from crossrank.errors import InputError

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Document:
    """A text with a name: a file, one of its passages, or a candidate for ranking.

    Attributes:
        id: Unique among the documents that are ranked together.
        text: What is searched and scored.
        title: Read before the text where there is one.
        metadata: Anything the caller wants back with the hit; never read by the ranking.

    Example:
        >>> Document(id="1", text="Paris is the capital of France.").text
        'Paris is the capital of France.'
    """

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=lambda: _NOTHING, hash=False)

    @property
    def content(self) -> str:
        """Title and text as one string, which is what models and indexes read."""
        return f"{self.title}\n{self.text}" if self.title else self.text


DocumentLike: TypeAlias = str | Document | Mapping[str, Any]


def as_documents(items: Iterable[DocumentLike]) -> list[Document]:
    """Make documents of what people have at hand, without changing it.

    Args:
        items: Strings, documents, or mappings with a ``text`` and, as they like, ``id`` (or ``_id``),
            ``title``, ``metadata``. What has no id is named by its 0-based position.

    Returns:
        One document an item, in the same order.

    Raises:
        InputError: An item is none of these, or its text is no string.

    Example:
        >>> [d.id for d in as_documents(["first", {"id": "b", "text": "second"}])]
        ['0', 'b']
    """
    if isinstance(items, str):
        raise InputError(
            "documents must be a list; a single string was given. Write [text] for one document."
        )
    return [_as_document(item, position) for position, item in enumerate(items)]


def _as_document(item: DocumentLike, position: int) -> Document:
    if isinstance(item, Document):
        return item
    if isinstance(item, str):
        return Document(id=str(position), text=item)
    if isinstance(item, Mapping):
        text, title = item.get("text"), item.get("title") or ""
        metadata = item.get("metadata") or _NOTHING
        if isinstance(text, str) and isinstance(title, str) and isinstance(metadata, Mapping):
            given = item.get("id", item.get("_id"))
            return Document(str(position) if given is None else str(given), text, title, metadata)
    raise InputError(
        f"document {position} must be a string, a Document, or an object with a string in 'text' "
        f"(and, where given, a string in 'title' and an object in 'metadata'); it is {item!r:.80}"
    )


@dataclass(frozen=True, slots=True)
class Hit:
    """One document in a ranking, with every number that led to its place.

    Attributes:
        rank: Place in the ranking, from 1.
        document: The document itself.
        score: The relevance score: the logit through the model's own activation, or that of logit,
            similarity and word match together (see docs/scores.md). None where the model could not read the
            text.
        logit: The model's raw output in float32; None where ``score`` is.
        first_stage_rank: Place before reranking, from 1.
        first_stage_score: What the first stage gave it, on its own scale; None where it gave none.
        truncated_tokens: How many tokens of the passage did not fit into the model and were not read.
        similarity: The bi-encoder's, where it is part of ``score`` beside the logit; else None.
        word_match: BM25 as a share of the best passage's, from 0 to 1, where it is part of ``score``; else
            None.
        stage_ranks: Where the first stage fused several, the rank that each gave it, from 1, by its name
            (``lexical``, ``dense``).
    """

    rank: int
    document: Document
    score: float | None
    logit: float | None
    first_stage_rank: int
    first_stage_score: float | None = None
    truncated_tokens: int = 0
    similarity: float | None = None
    word_match: float | None = None
    stage_ranks: Mapping[str, int] = field(default_factory=lambda: _NOTHING, hash=False)

    @property
    def text(self) -> str:
        """The document's text."""
        return self.document.text

    def to_dict(self) -> dict[str, Any]:
        """This hit as docs/ranking.schema.json describes it."""
        return {
            "rank": self.rank,
            "text": self.text,
            "score": self.score,
            "logit": self.logit,
            "document": {
                "id": self.document.id,
                "title": self.document.title,
                "metadata": dict(self.document.metadata),
            },
            "first_stage_rank": self.first_stage_rank,
            "first_stage_score": self.first_stage_score,
            "truncated_tokens": self.truncated_tokens,
            "similarity": self.similarity,
            "word_match": self.word_match,
            "stage_ranks": dict(self.stage_ranks),
        }


@dataclass(frozen=True, slots=True)
class Ranking(Sequence[Hit]):
    """The hits for one query, best first.

    Attributes:
        query: The question.
        hits: The hits, ``rank`` 1 first.
        timings: Seconds per stage.
        notices: What a person should know about this ranking, one sentence each; empty as a rule.

    Example:
        >>> Ranking(query="q", hits=())[:3]
        ()
    """

    query: str
    hits: tuple[Hit, ...]
    timings: Mapping[str, float] = field(default_factory=lambda: _NOTHING, hash=False)
    notices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[index]

    def to_dict(self) -> dict[str, Any]:
        """This ranking as docs/ranking.schema.json describes it."""
        return {
            "query": self.query,
            "hits": [hit.to_dict() for hit in self.hits],
            "timings": dict(self.timings),
            "notices": list(self.notices),
        }
