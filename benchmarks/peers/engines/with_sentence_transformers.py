"""sentence-transformers' side: PyTorch, ONNX Runtime or OpenVINO, by the setting's ``backend``.

A setting may name a ``file`` of the folder, and the ``dtype`` that PyTorch computes in, and ask for
torch.compile by ``compile``. The library sorts by length itself.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from answering import Peer, Score, answer_requests

_MORE = {"openvino": ("optimum-intel", "openvino"), "onnxruntime": ("optimum-onnx", "onnxruntime")}


def load(folder: str, setting: dict[str, Any], threads: int) -> Score:
    """The cross-encoder on the processor."""
    import torch
    from sentence_transformers import CrossEncoder

    torch.set_num_threads(threads)
    backend = setting.get("backend", "torch")
    options: dict[str, Any] = {}
    if "dtype" in setting:
        options["dtype"] = setting["dtype"]
    if "file" in setting:
        options["file_name"] = setting["file"]
    if backend == "onnx":
        from onnxruntime import SessionOptions

        options["session_options"] = SessionOptions()
        options["session_options"].intra_op_num_threads = threads
    if backend == "openvino":
        options["ov_config"] = {"INFERENCE_NUM_THREADS": threads}
    model = CrossEncoder(folder, device="cpu", backend=backend, model_kwargs=options, local_files_only=True)
    if setting.get("compile"):
        model.compile(dynamic=True)

    def score(query: str, passages: list[str], batch: int | None) -> Any:
        size = {} if batch is None else {"batch_size": batch}
        return model.predict([(query, passage) for passage in passages], show_progress_bar=False, **size)

    return score


if __name__ == "__main__":
    more = [package for module, packages in _MORE.items() if find_spec(module) for package in packages]
    answer_requests(Peer(load, ("sentence-transformers", "torch", "transformers", *more)))
