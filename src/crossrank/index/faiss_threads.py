"""How many threads FAISS uses; also after a fork."""

from __future__ import annotations

import os
import sys

from crossrank.inference.engines.threads import available_threads

_first_process = os.getpid()


def on_one_thread() -> None:
    """Let FAISS search in the calling thread only.

    A single query takes no longer than synchronising the threads (GNU OpenMP) would, and these would compete
    with the engine's threads.
    """
    import faiss

    faiss.omp_set_num_threads(1)


def on_all_threads() -> None:
    """Let FAISS build an index with all processors; in a forked process, with one thread."""
    import faiss

    faiss.omp_set_num_threads(available_threads() if os.getpid() == _first_process else 1)


def _one_thread_after_a_fork() -> None:
    # FAISS's threads do not survive a fork; a child that uses more than one would wait forever.
    if "faiss" in sys.modules:
        on_one_thread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_thread_after_a_fork)
