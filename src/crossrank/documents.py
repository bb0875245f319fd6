"""The values that flow through crossrank: a document is found as a candidate, and ranked as a hit.

Each holds the one before: a :class:`Hit` has its :class:`Candidate`, which has its :class:`Document`. They
are never changed, and they pickle, copy and go through :func:`dataclasses.asdict` as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar, overload

from crossrank.errors import InputError

SIMILARITY, WORD_MATCH = "similarity", "word_match"
"""The kinds of evidence that first stages give; see :class:`Candidate`."""

_OWN_KEYS = frozenset({"id", "_id", "text", "title", "metadata"})


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
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def content(self) -> str:
        """Title and text as one string, which is what models and indexes read."""
        return f"{self.title}\n{self.text}" if self.title else self.text


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document that a first stage found, with all that the first stage knows of it.

    Attributes:
        document: What was found.
        rank: Its place in the first stage, from 1.
        score: What the first stage ranked it by, on its own scale; None where it gave no number.
        stage_ranks: Where the first stage fused several searches, the rank that each gave it, from 1, by name
            (``lexical``, ``dense``).
        evidence: What is known of how well it matches the query, by name: ``similarity``, of the query's and
            the document's vectors; ``word_match``, BM25 as a share of the best passage's, from 0 to 1. Only
            what is known is there. A reranker whose model says how counts it (docs/scores.md).
        embedder: The fingerprint of the bi-encoder that the similarity is of
            (:attr:`crossrank.BiEncoder.fingerprint`); empty where there is none.

    Example:
        >>> found = Candidate(Document("1", "Bread is baked."), rank=1, evidence={"word_match": 1.0})
        >>> found.document.text, found.evidence["word_match"]
        ('Bread is baked.', 1.0)
    """

    document: Document
    rank: int
    score: float | None = None
    stage_ranks: Mapping[str, int] = field(default_factory=dict, hash=False)
    evidence: Mapping[str, float] = field(default_factory=dict, hash=False)
    embedder: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A candidate in a ranking, with every number that led to its place.

    Attributes:
        candidate: What was ranked, and what the first stage knows of it.
        rank: Place in the ranking, from 1.
        score: The relevance score: the sum of ``contributions`` through the ranking's activation. None where
            the model could not read the text.
        logit: The model's raw output in float32; None where ``score`` is.
        contributions: What each part added, in logits: ``logit`` (the model's, as it was counted), each kind
            of evidence that was counted, and ``constant``. Hits are sorted by their sum. Without counted
            evidence, the logit alone; empty where there is no score.
        truncated_tokens: How many tokens of the document did not fit into the model and were not read.

    Example:
        >>> candidate = Candidate(Document("1", "Bread is baked."), rank=3)
        >>> hit = Hit(candidate, rank=1, score=0.88, logit=2.0, contributions={"logit": 2.0})
        >>> hit.text, hit.rank, hit.candidate.rank
        ('Bread is baked.', 1, 3)
    """

    candidate: Candidate
    rank: int
    score: float | None
    logit: float | None
    contributions: Mapping[str, float] = field(default_factory=dict, hash=False)
    truncated_tokens: int = 0

    @property
    def document(self) -> Document:
        """The candidate's document."""
        return self.candidate.document

    @property
    def text(self) -> str:
        """The document's text."""
        return self.candidate.document.text

    @property
    def combined_logit(self) -> float | None:
        """The sum of ``contributions``, which hits are sorted by; None where there is no score."""
        return sum(self.contributions.values()) if self.contributions else None

    def to_dict(self) -> dict[str, Any]:
        """This hit as docs/ranking.schema.json describes it."""
        document, candidate = self.document, self.candidate
        return {
            "rank": self.rank,
            "text": document.text,
            "score": self.score,
            "logit": self.logit,
            "contributions": dict(self.contributions),
            "truncated_tokens": self.truncated_tokens,
            "document": {"id": document.id, "title": document.title, "metadata": dict(document.metadata)},
            "candidate": {
                "rank": candidate.rank,
                # A retriever may give NumPy's numbers, which JSON does not know.
                "score": None if candidate.score is None else float(candidate.score),
                "stage_ranks": dict(candidate.stage_ranks),
                "evidence": {name: float(value) for name, value in candidate.evidence.items()},
            },
        }


@dataclass(frozen=True, slots=True)
class Ranking(Sequence[Hit]):
    """The hits for one query, best first.

    Attributes:
        query: The question.
        hits: The hits, ``rank`` 1 first.
        activation: What made scores of sums of contributions: ``sigmoid``, ``tanh``, ``none``, or a
            function's name.
        timings: Seconds per stage.
        notices: What a person should know about this ranking, one sentence each; empty as a rule.

    Example:
        >>> Ranking(query="q", hits=())[:3]
        ()
    """

    query: str
    hits: tuple[Hit, ...]
    activation: str = "none"
    timings: Mapping[str, float] = field(default_factory=dict, hash=False)
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
            "activation": self.activation,
            "timings": dict(self.timings),
            "notices": list(self.notices),
        }


DocumentLike: TypeAlias = str | Document | Mapping[str, Any]
CandidateLike: TypeAlias = Candidate | DocumentLike


def as_documents(items: Iterable[DocumentLike]) -> list[Document]:
    """Make documents of what people have at hand, without changing it.

    Args:
        items: Strings, documents, or mappings with a ``text`` and, as they like, ``id`` (or ``_id``),
            ``title``, ``metadata``. Further keys of a mapping (``url``, ``meta``) join the metadata. What has
            no id is named by its 0-based position.

    Returns:
        One document an item, in the same order.

    Raises:
        InputError: An item is none of these, or its text is no string.

    Example:
        >>> documents = as_documents(["first", {"id": "b", "text": "second", "url": "b.html"}])
        >>> [d.id for d in documents], documents[1].metadata
        (['0', 'b'], {'url': 'b.html'})
    """
    return [_as_document(item, position) for position, item in enumerate(_listed(items))]


def as_candidates(items: Iterable[CandidateLike]) -> list[Candidate]:
    """Make candidates of what people have at hand: candidates as they are, documents by their place.

    Args:
        items: Candidates, and all that :func:`as_documents` takes, in first-stage order.

    Returns:
        One candidate an item, in the same order. Of what was none, only the rank is known.

    Raises:
        InputError: An item is none of these, or its text is no string.

    Example:
        >>> [(c.rank, c.document.text) for c in as_candidates(["best", "second"])]
        [(1, 'best'), (2, 'second')]
    """
    return [
        item if isinstance(item, Candidate) else Candidate(_as_document(item, position), rank=position + 1)
        for position, item in enumerate(_listed(items))
    ]


_Item = TypeVar("_Item")


def _listed(items: Iterable[_Item]) -> Iterable[_Item]:
    if isinstance(items, str):
        raise InputError(
            "documents must be a list; a single string was given. Write [text] for one document."
        )
    return items


def _as_document(item: DocumentLike, position: int) -> Document:
    if isinstance(item, Document):
        return item
    if isinstance(item, str):
        return Document(id=str(position), text=item)
    if isinstance(item, Mapping):
        text, title = item.get("text"), item.get("title") or ""
        metadata = item.get("metadata") or {}
        if isinstance(text, str) and isinstance(title, str) and isinstance(metadata, Mapping):
            given = item.get("id", item.get("_id"))
            further = {key: value for key, value in item.items() if key not in _OWN_KEYS}
            return Document(
                str(position) if given is None else str(given), text, title, further | {**metadata}
            )
    raise InputError(
        f"document {position} must be a string, a Document, or an object with a string in 'text' "
        f"(and, where given, a string in 'title' and an object in 'metadata'); it is {item!r:.80}"
    )
