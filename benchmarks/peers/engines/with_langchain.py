"""LangChain's side: HuggingFaceCrossEncoder, which is sentence-transformers with its defaults.

It takes no batch size; a caller who wants smaller batches calls it with fewer pairs.
"""

from __future__ import annotations

import warnings
from typing import Any

from answering import Peer, Score, answer_requests, in_sorted_batches


def load(folder: str, setting: dict[str, Any], threads: int) -> Score:
    """The cross-encoder on the processor."""
    import torch

    warnings.simplefilter("ignore")  # langchain-community says that it is no longer maintained
    from langchain_community.cross_encoders import HuggingFaceCrossEncoder

    torch.set_num_threads(threads)
    options = {"device": "cpu", "model_kwargs": setting}
    model = HuggingFaceCrossEncoder(model_name=folder, model_kwargs=options)

    def score(query: str, passages: list[str], batch: int | None) -> Any:
        def some(texts: list[str]) -> Any:
            return model.score([(query, text) for text in texts])

        return some(passages) if batch is None else in_sorted_batches(some, passages, batch)

    return score


if __name__ == "__main__":
    answer_requests(Peer(load, ("langchain-community", "sentence-transformers", "torch", "transformers")))
