"""crossrank's side. A setting may name the ``precision``."""

from __future__ import annotations

from typing import Any

from answering import Peer, Score, answer_requests


def load(folder: str, setting: dict[str, Any], threads: int) -> Score:
    """The cross-encoder; batches follow from the lengths of the inputs."""
    from crossrank import CrossEncoder

    model = CrossEncoder(folder, threads=threads, precision=setting.get("precision", "auto"))

    def score(query: str, passages: list[str], batch: int | None) -> Any:
        return model.predict([(query, passage) for passage in passages], activation_fn="none")

    return score


if __name__ == "__main__":
    answer_requests(Peer(load, ("crossrank", "openvino", "numpy")))
