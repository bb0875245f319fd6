"""The index on disk: files in, candidates out, and it lasts."""

from crossrank.index.index import Index
from crossrank.index.reports import AddReport, IndexedFile, IndexInfo

__all__ = ["AddReport", "Index", "IndexInfo", "IndexedFile"]
