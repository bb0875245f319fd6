"""Files to passages: find, read and split files, and detect the scripts of a text."""

from crossrank.text.finding import FoundFile, find_files
from crossrank.text.loading import Loaded, load_documents
from crossrank.text.notices import Notice, NoticeKind, Notify
from crossrank.text.readability import unreadable_share
from crossrank.text.reading import is_supported, read_documents, supported_suffixes
from crossrank.text.splitting import chunk_sizes, split_documents

__all__ = [
    "FoundFile",
    "Loaded",
    "Notice",
    "NoticeKind",
    "Notify",
    "chunk_sizes",
    "find_files",
    "is_supported",
    "load_documents",
    "read_documents",
    "split_documents",
    "supported_suffixes",
    "unreadable_share",
]
