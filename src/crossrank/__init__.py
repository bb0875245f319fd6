"""crossrank: cross-encoder reranking for your own documents, fast on a plain CPU, with the scores kept."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from crossrank.settings import VERSION

if TYPE_CHECKING:
    from crossrank.documents import Candidate, Document, Hit, Ranking, Span, Window
    from crossrank.errors import CrossrankError, InputError, MissingExtraError, ModelError, TruncationWarning
    from crossrank.index import Index
    from crossrank.inference.bi_encoder import BiEncoder
    from crossrank.inference.cross_encoder import CrossEncoder
    from crossrank.inference.score_cache import ScoreCache
    from crossrank.ranking.reranker import Reranker
    from crossrank.retrieval.base import Retriever
    from crossrank.search import Searcher
    from crossrank.text import load_documents, split_documents

__version__ = VERSION

# Imported on first use, so that importing the package is fast.
_HOMES = {
    "BiEncoder": "crossrank.inference.bi_encoder",
    "Candidate": "crossrank.documents",
    "CrossEncoder": "crossrank.inference.cross_encoder",
    "CrossrankError": "crossrank.errors",
    "Document": "crossrank.documents",
    "Hit": "crossrank.documents",
    "Index": "crossrank.index",
    "InputError": "crossrank.errors",
    "MissingExtraError": "crossrank.errors",
    "ModelError": "crossrank.errors",
    "Ranking": "crossrank.documents",
    "Reranker": "crossrank.ranking.reranker",
    "Retriever": "crossrank.retrieval.base",
    "ScoreCache": "crossrank.inference.score_cache",
    "Searcher": "crossrank.search",
    "Span": "crossrank.documents",
    "TruncationWarning": "crossrank.errors",
    "Window": "crossrank.documents",
    "load_documents": "crossrank.text",
    "split_documents": "crossrank.text",
}

__all__ = [
    "BiEncoder",
    "Candidate",
    "CrossEncoder",
    "CrossrankError",
    "Document",
    "Hit",
    "Index",
    "InputError",
    "MissingExtraError",
    "ModelError",
    "Ranking",
    "Reranker",
    "Retriever",
    "ScoreCache",
    "Searcher",
    "Span",
    "TruncationWarning",
    "Window",
    "load_documents",
    "split_documents",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'crossrank' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
