"""Jobs of any size, on one machine or on a Ray cluster: rerank whole runs, embed collections into an index.

A killed job goes on where it stopped.
"""

from crossrank.bulk.indexing import CollectionReport, add_collection
from crossrank.bulk.running import RunReport, rerank_run

__all__ = ["CollectionReport", "RunReport", "add_collection", "rerank_run"]
