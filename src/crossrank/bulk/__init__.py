"""Rerank whole runs: thousands of queries, on one machine or on a Ray cluster; a killed job goes on."""

from crossrank.bulk.running import RunReport, rerank_run

__all__ = ["RunReport", "rerank_run"]
