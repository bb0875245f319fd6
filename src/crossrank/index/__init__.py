"""The persistent index: files in, candidates out."""

from crossrank.index.index import Index
from crossrank.index.passages import PassageInFile
from crossrank.index.reports import AddReport, IndexedFile, IndexInfo, IndexSummary

__all__ = ["AddReport", "Index", "IndexInfo", "IndexSummary", "IndexedFile", "PassageInFile"]
