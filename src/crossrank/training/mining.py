"""Mining: from judged questions to training lists, with negatives and target logits."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.evaluation.collection import load_collection
from crossrank.evaluation.qrels import load_qrels
from crossrank.evaluation.unjudged import make_question
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.vectors import prepared
from crossrank.retrieval.bm25 import BM25Index, word_matches
from crossrank.training.settings import JudgedData, TrainingSettings

Progress: TypeAlias = Callable[[str, int, int], object]
"""Called with the current task, the amount done, and the total."""

_DENSE_DEPTH, _LEXICAL_DEPTH = 110, 200
# The ranks of the first stages that negatives are taken from, in turn, hard ones first.
_GRADES: tuple[tuple[str, int, int], ...] = (
    ("dense", 0, 6),
    ("lexical", 0, 10),
    ("dense", 6, 20),
    ("lexical", 10, 40),
    ("dense", 20, 50),
    ("dense", 0, 6),
    ("dense", 50, 110),
)
# A passage that the teachers score this much above the judged one, in logits, may well be relevant, too.
_SUSPICIOUS = 3.0
_SHARED_VALIDATION = 10
_VALIDATION_DEPTH = 30
_QUERIES_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class TrainingList:
    """A question and the passages to rank for it.

    Attributes:
        source: The collection's name.
        query: The question.
        documents: The passages; those judged relevant first.
        targets: The target logit of each passage, up to a constant.
        relevant: Number of passages that are judged relevant.
        similarities: The embedder's similarity of each passage; only for validation.
        word_matches: BM25 of each passage divided by the question's highest; only for validation.
        evidence: The teachers' logit of each passage; only for training.
    """

    source: str
    query: str
    documents: tuple[str, ...]
    targets: tuple[float, ...]
    relevant: int
    similarities: tuple[float, ...] = ()
    word_matches: tuple[float, ...] = ()
    evidence: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class _Question:
    source: str
    text: str
    relevant: tuple[int, ...] = ()
    not_relevant: tuple[int, ...] = ()


@dataclass(slots=True)
class _Pool:
    documents: list[Document] = field(default_factory=list)
    questions: list[_Question] = field(default_factory=list)
    held_out: list[_Question] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Found:
    """The results of the first stages for one question: positions, best first, and values of all passages.

    Attributes:
        dense: The nearest passages by the embedder.
        lexical: The best passages by BM25.
        similarity: The embedder's similarity of all passages.
        word_match: The word match of all passages.
        teacher: The teachers' combined logit of all passages.
    """

    dense: list[int]
    lexical: list[int]
    similarity: NDArray[np.float32]
    word_match: NDArray[np.float32]
    teacher: NDArray[np.float32]


class Miner:
    """Mines the lists for training and validation.

    Args:
        settings: The settings of the training.
        embedder: The embedder that finds negatives and is a teacher.
        progress: Called with the current task, the amount done, and the total.

    Raises:
        InputError: A collection cannot be read, or no question has a relevant passage.
    """

    def __init__(self, settings: TrainingSettings, embedder: BiEncoder, progress: Progress) -> None:
        self._settings = settings
        self._embedder = embedder
        self._progress = progress
        self._random = random.Random(settings.seed)
        self.validation: list[TrainingList] = []
        """The held-out questions: their relevant passages first, then the results of both first stages."""

    def lists(self) -> Iterator[TrainingList]:
        """Yield all training lists, by collection; ``validation`` is complete when all were yielded."""
        grouped: dict[str, list[JudgedData]] = defaultdict(list)
        for number, data in enumerate(self._settings.data):
            grouped[data.pool or f"\0{number}"].append(data)
        for group in grouped.values():
            pool = self._pool(group)
            yield from self._pool_lists(pool, " and ".join(data.folder.name for data in group))

    def _pool(self, group: Sequence[JudgedData]) -> _Pool:
        pool = _Pool()
        for data in group:
            collection = load_collection(data.folder, split=data.split)
            others = _judged_by_other_splits(data)
            judged = {name for grades in collection.qrels.values() for name in grades}
            positions: dict[str, int] = {}
            for document in collection.documents:
                # Passages that only another split judges may be test data: not even used as negatives.
                if document.id in judged or document.id not in others:
                    positions[document.id] = len(pool.documents)
                    pool.documents.append(document)
            questions = []
            for query, text in collection.queries.items():
                grades = {
                    positions[name]: grade
                    for name, grade in collection.qrels[query].items()
                    if name in positions
                }
                relevant = tuple(place for place, grade in grades.items() if grade > 0)
                if relevant and text.strip():
                    rest = tuple(place for place in grades if place not in relevant)
                    questions.append(_Question(collection.name, text, relevant, rest))
            if not questions:
                raise InputError(
                    f"{data.folder}: no question of the split {data.split!r} has a relevant passage"
                )
            # Depends only on seed and name, so that further trainings hold out the same questions.
            random.Random(f"{self._settings.seed} {collection.name}").shuffle(questions)
            kept_out = min(self._settings.validation, max(1, len(questions) // _SHARED_VALIDATION))
            pool.held_out += questions[:kept_out]
            learnt = questions[kept_out:]
            self._random.shuffle(learnt)
            pool.questions += learnt[: data.limit]
        return pool

    def _pool_lists(self, pool: _Pool, name: str) -> Iterator[TrainingList]:
        vectors = self._vectors(pool.documents, name)
        lexical = BM25Index([document.content for document in pool.documents])
        for question, found in self._search(pool.held_out, vectors, lexical):
            self.validation.append(self._validation_list(pool, question, found))
        if not pool.questions:
            raise InputError(f"{name}: no question is left to learn from; at least two are needed")
        judged = len(pool.questions) * self._settings.passes
        share = self._settings.unjudged
        unjudged = [
            _Question("unjudged", make_question(self._random.choice(pool.documents), self._random))
            for _ in range(round(judged * share / (1 - share)))
        ]
        total, done = len(pool.questions) + len(unjudged), 0
        for questions, times in ((pool.questions, self._settings.passes), (unjudged, 1)):
            for question, found in self._search(questions, vectors, lexical):
                for _ in range(times):
                    yield self._training_list(pool, question, found)
                done += 1
                self._progress(f"Negatives in {name}", done, total)

    def _vectors(self, documents: Sequence[Document], name: str) -> NDArray[np.float32]:
        done = 0

        def advance(more: int) -> None:
            nonlocal done
            done += more
            self._progress(f"Embedding {name}", done, len(documents))

        contents = [document.content for document in documents]
        # Normalised: the teacher's scale is for cosines, whatever similarity the embedder uses.
        return prepared(self._embedder.encode_documents(contents, progress=advance), "cosine")

    def _search(
        self, questions: Sequence[_Question], vectors: NDArray[np.float32], lexical: BM25Index
    ) -> Iterator[tuple[_Question, _Found]]:
        for start in range(0, len(questions), _QUERIES_AT_ONCE):
            part = questions[start : start + _QUERIES_AT_ONCE]
            encoded = self._embedder.encode_queries([question.text for question in part])
            queries = prepared(encoded, "cosine")
            for question, similarity in zip(part, queries @ vectors.T, strict=True):
                dense = np.argsort(-similarity, kind="stable")[:_DENSE_DEPTH].tolist()
                by_words = lexical.search(question.text, len(similarity))
                words = np.zeros(len(similarity), np.float32)
                for place, match in word_matches(dict(by_words)).items():
                    words[place] = match
                teacher = self._settings.teacher_scale * similarity + self._settings.word_scale * words
                first = [place for place, _ in by_words[:_LEXICAL_DEPTH]]
                yield question, _Found(dense, first, similarity, words, teacher)

    def _training_list(self, pool: _Pool, question: _Question, found: _Found) -> TrainingList:
        chosen = [self._random.choice(question.relevant)] if question.relevant else []
        wanted = self._settings.negatives + (0 if chosen else 1)
        relevant = {pool.documents[place].text for place in question.relevant}
        others = _different(self._sources(question, found), pool.documents, relevant)
        negatives = list(islice(others, wanted))
        places = chosen + negatives
        evidence = tuple(float(found.teacher[place]) for place in places)
        targets = list(evidence)
        if chosen and negatives:
            targets[0] = max(targets[0], max(targets[1:]) + self._settings.lift)
        # Half of them without titles, so that the score does not depend on having one.
        titled = self._random.random() < 0.5
        texts = tuple(pool.documents[p].content if titled else pool.documents[p].text for p in places)
        judged = len(chosen)
        return TrainingList(question.source, question.text, texts, tuple(targets), judged, evidence=evidence)

    def _sources(self, question: _Question, found: _Found) -> list[list[int]]:
        """The sources of negatives, to be used in turn, each shuffled."""
        stages = {"dense": found.dense, "lexical": found.lexical}
        if question.relevant:
            limit = max(float(found.teacher[place]) for place in question.relevant) + _SUSPICIOUS
            stages = {name: [p for p in row if found.teacher[p] < limit] for name, row in stages.items()}
        grades = [stages[stage][first:last] for stage, first, last in _GRADES]
        sources = [list(places) for places in (question.not_relevant, question.not_relevant, *grades)]
        for source in sources:
            self._random.shuffle(source)
        return [source for source in sources if source]

    def _validation_list(self, pool: _Pool, question: _Question, found: _Found) -> TrainingList:
        relevant = question.relevant[:10]
        known = set(question.relevant)
        in_turn = (place for both in zip_longest(found.dense, found.lexical) for place in both)
        near = dict.fromkeys(place for place in in_turn if place is not None and place not in known)
        places = [*relevant, *near][:_VALIDATION_DEPTH]
        return TrainingList(
            question.source,
            question.text,
            tuple(pool.documents[place].content for place in places),
            tuple(float(found.teacher[place]) for place in places),
            len(relevant),
            tuple(float(found.similarity[place]) for place in places),
            tuple(float(found.word_match[place]) for place in places),
        )


def _different(
    sources: Sequence[Sequence[int]], documents: Sequence[Document], known: Iterable[str]
) -> Iterator[int]:
    """Take positions from the end of each source in turn, with different texts, excluding known ones."""
    seen = set(known)
    rests = [list(source) for source in sources]
    while any(rests):
        for rest in rests:
            while rest:
                text = documents[place := rest.pop()].text
                if text not in seen:
                    seen.add(text)
                    yield place
                    break


def _judged_by_other_splits(data: JudgedData) -> set[str]:
    """The documents that are judged in other splits of the collection."""
    splits = (file for file in (data.folder / "qrels").glob("*.tsv") if file.stem != data.split)
    return {name for file in splits for grades in load_qrels(file).values() for name in grades}
