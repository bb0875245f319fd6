"""FlashRank's side: one batch of all passages, padded to the longest; smaller ones if its caller makes them.

It leaves the number of threads to ONNX Runtime, which takes a thread a core, and gives probabilities alone.
"""

from __future__ import annotations

from typing import Any

from answering import Peer, Score, answer_requests, in_sorted_batches

# A name that FlashRank knows. It loads whatever lies under it.
NAME = "ms-marco-TinyBERT-L-2-v2"
_NO_LIMIT = 1_000_000


def load(folder: str, setting: dict[str, Any], threads: int) -> Score:
    """The ranker of a folder that holds NAME."""
    from flashrank import Ranker, RerankRequest

    # By default it reads 512 tokens. It takes no more than the tokenizer's settings say.
    ranker = Ranker(model_name=NAME, cache_dir=folder, max_length=_NO_LIMIT)

    def score(query: str, passages: list[str], batch: int | None) -> Any:
        def some(texts: list[str]) -> list[float]:
            request = RerankRequest(query, [{"id": i, "text": text} for i, text in enumerate(texts)])
            return [hit["score"] for hit in sorted(ranker.rerank(request), key=lambda hit: hit["id"])]

        return some(passages) if batch is None else in_sorted_batches(some, passages, batch)

    return score


if __name__ == "__main__":
    answer_requests(Peer(load, ("flashrank", "onnxruntime", "tokenizers"), scale="probability"))
