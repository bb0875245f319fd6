"""The data classes of crossrank: a document is found as a candidate, and ranked as a hit.

A :class:`Hit` contains its :class:`Candidate`, which contains its :class:`Document`. All are immutable, and
work with pickle, copy and :func:`dataclasses.asdict`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias, TypeVar, overload

from crossrank.errors import InputError

SIMILARITY, WORD_MATCH = "similarity", "word_match"
"""The kinds of evidence that a first stage provides; see :class:`Candidate`."""

_OWN_KEYS = frozenset({"id", "_id", "text", "title", "metadata"})


@dataclass(frozen=True, slots=True)
class Document:
    """A text with an id: a file, one of its passages, or a candidate for ranking.

    Attributes:
        id: Unique among the documents that are ranked together.
        text: The text that is searched and scored.
        title: Put before the text, if not empty.
        metadata: Any data to get back with the hit; not used for ranking.

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
        """Title and text as one string, as models and indexes read it."""
        return f"{self.title}\n{self.text}" if self.title else self.text


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document found by a first stage, with everything the first stage knows about it.

    Attributes:
        document: The document.
        rank: Its rank in the first stage, from 1.
        score: Its first-stage score, on the first stage's own scale; None if there is no score.
        stage_ranks: If the first stage fused several searches, the rank in each of them, from 1, by name
            (``lexical``, ``dense``).
        evidence: How well the document matches the query, by name: ``similarity`` of the query's and the
            document's vectors; ``word_match``, BM25 divided by the best passage's BM25, from 0 to 1. Values
            that are not known are left out. A reranker adds them to its logit if its model has weights for
            them (docs/scores.md).
        embedder: The fingerprint of the bi-encoder that computed the similarity
            (:attr:`crossrank.BiEncoder.fingerprint`); empty without a similarity.

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
class Window:
    """The part of a long document that its score comes from.

    Attributes:
        start: Where it begins in the document's text, in characters.
        end: Where it ends.
        number: Which of the document's windows it is, from 1.
        count: How many windows the document has.

    Example:
        >>> document = Document("1", "Bread is baked. Bees dance.")
        >>> window = Window(start=16, end=27, number=2, count=2)
        >>> document.text[window.start : window.end]
        'Bees dance.'
    """

    start: int
    end: int
    number: int
    count: int


@dataclass(frozen=True, slots=True)
class Span:
    """A sentence of a hit's text, or a few words of a sentence, with its weight.

    Attributes:
        start: Where it begins in the document's text, in characters.
        end: Where it ends.
        weight: From 0 to 1. Of a sentence: the relevance of the sentence alone, the sigmoid of its logit. Of
            words: how much of the sentence's logit is lost without them, as a share of what is lost without
            any of its words.
        words: Of a sentence that was looked at more closely: its words that count most, most important
            first.

    Example:
        >>> document = Document("1", "Bread is baked. Bees dance.")
        >>> sentence = Span(0, 15, 0.9, words=(Span(0, 5, 1.0),))
        >>> document.text[sentence.start : sentence.end], document.text[0 : sentence.words[0].end]
        ('Bread is baked.', 'Bread')
    """

    start: int
    end: int
    weight: float
    words: tuple[Span, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The span as a dictionary for JSON."""
        words = [{"start": word.start, "end": word.end, "weight": word.weight} for word in self.words]
        return {"start": self.start, "end": self.end, "weight": self.weight, "words": words}


@dataclass(frozen=True, slots=True)
class Hit:
    """A candidate in a ranking, with every number that its rank comes from.

    Attributes:
        candidate: The candidate, as the first stage found it.
        rank: Rank after reranking, from 1.
        score: The relevance score: the activation of the sum of ``contributions``. None if the model could
            not read the text.
        logit: The model's raw output in float32; None if ``score`` is None.
        contributions: The terms of the sum, in logits: ``logit`` (the model's logit times its weight), each
            kind of evidence that was used, and ``constant``. Hits are sorted by the sum. Without evidence,
            only the logit; empty if there is no score.
        truncated_tokens: How many tokens of the document the model did not read because the input was too
            long.
        window: The part of the document that the score comes from, if the document was read in windows; None
            if it was read at once.
        spans: The sentences of the text that was read, most relevant first, if they were asked for
            (``explain``).
        probability: The probability that the document is relevant, from 0 to 1. None if the model is not
            calibrated for what it ranks by (:class:`crossrank.inference.calibration.Calibration`), or there
            is no score.

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
    window: Window | None = None
    spans: tuple[Span, ...] = ()
    probability: float | None = None

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
        """The sum of ``contributions``, which hits are sorted by; None if there is no score."""
        return sum(self.contributions.values()) if self.contributions else None

    def to_dict(self) -> dict[str, Any]:
        """The hit as a dictionary for JSON (docs/ranking.schema.json)."""
        document, candidate = self.document, self.candidate
        return {
            "rank": self.rank,
            "text": document.text,
            "score": self.score,
            "logit": self.logit,
            "probability": self.probability,
            "contributions": dict(self.contributions),
            "truncated_tokens": self.truncated_tokens,
            "window": None if self.window is None else asdict(self.window),
            "spans": [span.to_dict() for span in self.spans],
            "document": {"id": document.id, "title": document.title, "metadata": dict(document.metadata)},
            "candidate": {
                "rank": candidate.rank,
                # A retriever may return NumPy numbers, which json cannot write.
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
        activation: The function from the sum of contributions to the score: ``sigmoid``, ``tanh``, ``none``,
            or a function's name.
        timings: Seconds per stage.
        notices: Warnings about this ranking, one sentence each; usually empty.
        scored: How many candidates the cross-encoder read. Those that cannot be among ``top_n`` hits are left
            out.
        truncated_tokens: How many tokens the model did not read, of all candidates that were read.

    Example:
        >>> Ranking(query="q", hits=())[:3]
        ()
    """

    query: str
    hits: tuple[Hit, ...]
    activation: str = "none"
    timings: Mapping[str, float] = field(default_factory=dict, hash=False)
    notices: tuple[str, ...] = ()
    scored: int = 0
    truncated_tokens: int = 0

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
        """The ranking as a dictionary for JSON (docs/ranking.schema.json)."""
        return {
            "query": self.query,
            "hits": [hit.to_dict() for hit in self.hits],
            "activation": self.activation,
            "timings": dict(self.timings),
            "notices": list(self.notices),
            "scored": self.scored,
            "truncated_tokens": self.truncated_tokens,
        }


DocumentLike: TypeAlias = str | Document | Mapping[str, Any]
CandidateLike: TypeAlias = Candidate | DocumentLike


def as_documents(items: Iterable[DocumentLike]) -> list[Document]:
    """Convert strings and mappings to documents; the items are not changed.

    Args:
        items: Strings, documents, or mappings with a ``text`` and optionally ``id`` (or ``_id``), ``title``
            and ``metadata``. Other keys of a mapping (``url``, ``meta``) are added to the metadata. An item
            without an id gets its 0-based position as its id.

    Returns:
        One document per item, in the same order.

    Raises:
        InputError: An item is none of these, or its text is not a string.

    Example:
        >>> documents = as_documents(["first", {"id": "b", "text": "second", "url": "b.html"}])
        >>> [d.id for d in documents], documents[1].metadata
        (['0', 'b'], {'url': 'b.html'})
    """
    return [_as_document(item, position) for position, item in enumerate(_listed(items))]


def as_candidates(items: Iterable[CandidateLike]) -> list[Candidate]:
    """Convert documents to candidates, ranked by their position; candidates are returned unchanged.

    Args:
        items: Candidates, or anything that :func:`as_documents` accepts, in first-stage order.

    Returns:
        One candidate per item, in the same order.

    Raises:
        InputError: An item is none of these, or its text is not a string.

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
