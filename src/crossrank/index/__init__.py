"""The persistent index: files in, candidates out."""

from crossrank.index.index import Index
from crossrank.index.reports import AddReport, IndexedFile, IndexInfo

__all__ = ["AddReport", "Index", "IndexInfo", "IndexedFile"]
