"""fastembed's side, with an ONNX file of ours. It batches, but does not sort."""

from __future__ import annotations

from typing import Any

from answering import Peer, Score, answer_requests, in_sorted_batches


def load(folder: str, setting: dict[str, Any], threads: int) -> Score:
    """The cross-encoder of the setting's ``file``."""
    from fastembed.common.model_description import ModelSource
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    TextCrossEncoder.add_custom_model("crossrank/benchmark", ModelSource(url="file:unused"), setting["file"])
    model = TextCrossEncoder("crossrank/benchmark", threads=threads, specific_model_path=folder)

    def score(query: str, passages: list[str], batch: int | None) -> Any:
        if batch is None:
            return list(model.rerank(query, passages))
        return in_sorted_batches(lambda texts: list(model.rerank(query, texts)), passages, batch)

    return score


if __name__ == "__main__":
    answer_requests(Peer(load, ("fastembed", "onnxruntime", "tokenizers")))
