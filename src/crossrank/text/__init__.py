"""Files to passages: reading files, splitting them, and telling which scripts a text is written in."""

from crossrank.text.loading import Loaded, load_documents
from crossrank.text.readability import unreadable_share
from crossrank.text.splitting import split_documents

__all__ = ["Loaded", "load_documents", "split_documents", "unreadable_share"]
