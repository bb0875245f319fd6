"""Searches in an index: what POST /search, the MCP tools and the page show of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from crossrank.documents import Candidate, Document, Ranking
from crossrank.errors import (
    CrossrankError,
    MissingFileError,
    MissingPassageError,
    TruncatedError,
    UncalibratedError,
)
from crossrank.index import Index, PassageInFile
from crossrank.inference.scorer import PairScorer
from crossrank.ranking.reranker import Reranker
from crossrank.search import interpolation_for
from crossrank.server.request import RequestError
from crossrank.server.search_request import SearchRequest

_NO_INDEX = "this server has no index; start it with --index INDEX, and fill that with crossrank index add"
Progress = Callable[[int], object]
_log = logging.getLogger("crossrank.server")


class IndexSearch:
    """An index, searched and reranked with the server's model. Thread-safe.

    The index is opened when it is asked for, so it may be made, filled and updated while the server runs.

    Args:
        path: The folder of the index; None if there is none.
        model: Returns the cross-encoder; may raise RequestError while there is none.
    """

    def __init__(self, path: Path | None, model: Callable[[], PairScorer]) -> None:
        self._index = None if path is None else Index(path)
        self._model = model
        self._kept: Reranker | None = None

    def search(self, asked: SearchRequest, progress: Progress | None = None) -> Ranking:
        """Search the index and rerank what is found.

        Args:
            asked: What to search for.
            progress: Called with the number of candidates scored since the last call.

        Returns:
            The ranking; hits of text files have their ``line`` in their metadata.

        Raises:
            RequestError: There is no index (404), or the index or the model fails (500).
        """
        if progress:
            progress(0)  # the caller may have left while this waited for a thread
        with _as_request_errors():
            # The two calls of a Searcher, which would keep a model that the server unloads.
            index, reranker = self._opened(), self._reranker()
            started = time.perf_counter()
            found = index.retrieve(asked.query, asked.candidates, filters=asked.filters)
            timings = {"first_stage": time.perf_counter() - started}
            ranking = reranker.rank(
                asked.query,
                found,
                top_n=asked.top_n,
                min_probability=asked.min_probability,
                long_documents=asked.long_documents,
                best_windows=asked.best_windows,
                on_truncation=asked.on_truncation,
                explain=asked.explain,
                interpolation=interpolation_for(index, reranker.model),
                progress=progress,
            )
            documents = self._with_lines([hit.document for hit in ranking])
        hits = (
            replace(hit, candidate=replace(hit.candidate, document=document))
            for hit, document in zip(ranking, documents, strict=True)
        )
        return replace(ranking, hits=tuple(hits), timings={**timings, **ranking.timings})

    def retrieve(self, asked: SearchRequest) -> list[Candidate]:
        """The best candidates of the first stage alone, ``top_n`` of them.

        Raises:
            RequestError: See :meth:`search`.
        """
        with _as_request_errors():
            found = self._opened().retrieve(
                asked.query, asked.top_n or asked.candidates, filters=asked.filters
            )
            documents = self._with_lines([candidate.document for candidate in found])
        pairs = zip(found, documents, strict=True)
        return [replace(candidate, document=document) for candidate, document in pairs]

    def rerank(self, asked: SearchRequest, texts: Sequence[str], progress: Progress | None = None) -> Ranking:
        """Rerank texts, which need no index.

        Args:
            asked: The query, which and how many hits to return, and how to read long texts.
            texts: The texts.
            progress: Called with the number of texts scored since the last call.

        Raises:
            RequestError: A text is not valid Unicode (400), or the model fails (500).
        """
        for position, text in enumerate(texts):
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise RequestError(400, f"text {position} is not valid Unicode; send UTF-8") from error
        with _as_request_errors():
            return self._reranker().rank(
                asked.query,
                texts,
                top_n=asked.top_n,
                min_probability=asked.min_probability,
                long_documents=asked.long_documents,
                best_windows=asked.best_windows,
                on_truncation=asked.on_truncation,
                explain=asked.explain,
                progress=progress,
            )

    def warm_up(self) -> None:
        """Load the embedder and the vectors, so that the first search is as fast as the others."""
        try:
            if self._index is not None:
                self.retrieve(SearchRequest("warm-up"))
                with suppress(RequestError), _as_request_errors():  # the model may not be loaded yet
                    interpolation_for(self._index, self._model())
        except RequestError as error:
            _log.info("%s", error)

    def passage(self, passage_id: str, characters: int = 0) -> PassageInFile:
        """A passage, with this number of characters of its file before and after it.

        Raises:
            RequestError: There is no such passage, or no index (404).
        """
        with _as_request_errors():
            found = self._opened().passage_in_file(passage_id, characters=characters)
            [document] = self._with_lines([found.passage])
        return replace(found, passage=document)

    def state(self) -> dict[str, Any]:
        """What the index contains, as a JSON object; ``problem`` says why it cannot be searched, if so."""
        nothing = {"files": 0, "documents": 0, "passages": 0, "sources": [], "fields": [], "embedder": None}
        if self._index is None:
            return {"path": None, "exists": False, **nothing, "problem": _NO_INDEX}
        try:
            return {**asdict(self._index.summary()), "exists": True, "problem": None}
        except CrossrankError as error:
            exists = not isinstance(error, MissingFileError)
            return {"path": str(self._index.path), "exists": exists, **nothing, "problem": str(error)}

    def _reranker(self) -> Reranker:
        """The reranker, always the same for a model, since it watches its rankings."""
        model = self._model()
        kept = self._kept
        if kept is None or kept.model is not model:
            kept = self._kept = Reranker(model)
        return kept

    def _opened(self) -> Index:
        if self._index is None:
            raise RequestError(404, _NO_INDEX)
        return self._index

    def _with_lines(self, passages: Sequence[Document]) -> list[Document]:
        """The passages with their ``line`` in the metadata, if it is known."""
        lines = self._opened().line_numbers(passages)
        return [
            passage if line is None else replace(passage, metadata={"line": line, **passage.metadata})
            for passage, line in zip(passages, lines, strict=True)
        ]


@contextmanager
def _as_request_errors() -> Iterator[None]:
    """Requests are checked before, so other errors are the server's."""
    try:
        yield
    except RequestError:
        raise
    except (MissingFileError, MissingPassageError) as error:
        raise RequestError(404, str(error)) from error
    except (UncalibratedError, TruncatedError) as error:
        raise RequestError(400, str(error)) from error
    except (CrossrankError, OSError) as error:
        raise RequestError(500, str(error)) from error
