"""Judged questions to an index, and questions made of its own passages."""

from __future__ import annotations

import random
from collections.abc import Collection as Container
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from crossrank.documents import Candidate, Document
from crossrank.errors import InputError
from crossrank.evaluation.collection import Collection
from crossrank.evaluation.unjudged import make_question
from crossrank.index import Index
from crossrank.retrieval.base import Retriever

_SEED = 0


class JudgedIndex:
    """A first stage whose passages have the ids that judgements have.

    A judged document is found by the id of its record (``_id`` in JSON Lines), or by its file's path, name,
    or name without the suffix. Of a document that was split, the best passage counts.

    Args:
        retriever: The first stage.
        judged: The ids that the judgements have.
    """

    def __init__(self, retriever: Retriever, judged: Container[str]) -> None:
        self._retriever, self._judged = retriever, judged

    def retrieve(self, query: str, k: int, *, filters: str | Iterable[str] = ()) -> list[Candidate]:
        """See :meth:`crossrank.retrieval.base.Retriever.retrieve`."""
        best: dict[str, Candidate] = {}
        for found in self._retriever.retrieve(query, k, filters=filters):
            name = judged_id(found.document, self._judged)
            best.setdefault(name, replace(found, document=replace(found.document, id=name)))
        return [replace(one, rank=rank) for rank, one in enumerate(best.values(), start=1)]


def judged_id(passage: Document, judged: Container[str]) -> str:
    """The id that judgements have for a passage of an index; its own if they do not have it.

    Example:
        >>> passage = Document("/a/corpus.jsonl:d7#0", "Bread.", metadata={"file": "/a/corpus.jsonl"})
        >>> judged_id(passage, {"d7"})
        'd7'
    """
    owner, file = passage.id.rpartition("#")[0], str(passage.metadata.get("file", ""))
    names = (passage.id, owner, owner.removeprefix(f"{file}:"), file, Path(file).name, Path(file).stem)
    return next((name for name in names if name in judged), passage.id)


def self_made_collection(index: Index, queries: int) -> Collection:
    """Questions made of the words of an index's passages; the passage that a question is made of answers it.

    Args:
        index: The index.
        queries: The maximum number of questions.

    Raises:
        InputError: The index is empty.
    """
    chosen = random.Random(_SEED)
    passages = index.sample(queries, seed=_SEED)
    # Ids that no passage has: a passage with the id of a query would be taken for the query itself.
    made = {f"question {n}": make_question(one, chosen).strip() for n, one in enumerate(passages)}
    asked = {name: question for name, question in made.items() if question}
    if not asked:
        raise InputError(f"{index.path} has no passages to make questions of; add files first")
    answers = {f"question {n}": {one.id: 1} for n, one in enumerate(passages)}
    return Collection(str(index.path), tuple(passages), asked, {name: answers[name] for name in asked})
