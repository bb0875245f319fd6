"""Time per request of a SageMaker handler: the reranker notebook's own inference.py, or crossrank's.

Arguments: notebook or crossrank, a model's folder, a file with a JSON list of requests. Prints JSON: seconds
to load, seconds of each request, the scores, versions.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

side, model_name, file = sys.argv[1:]
JSON = "application/json"


def notebook_handlers() -> tuple[Any, Any]:
    """The notebook's code, with the folder of the weights in place of the name that it downloads."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    class CrossEncoder:
        def __init__(self) -> None:
            self.device = torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")
            self.tokenizer = AutoTokenizer.from_pretrained(model_name)
            self.model = AutoModelForSequenceClassification.from_pretrained(model_name)
            self.model = self.model.to(self.device)

        def __call__(self, pairs: list[list[str]]) -> list[float]:
            with torch.inference_mode():
                inputs = self.tokenizer(
                    pairs, padding=True, truncation=True, return_tensors="pt", max_length=512
                )
                inputs = inputs.to(self.device)
                scores = self.model(**inputs, return_dict=True).logits.view(-1).float()
            return scores.detach().cpu().tolist()  # type: ignore[no-any-return]

    def model_fn(model_dir: str) -> CrossEncoder:
        return CrossEncoder()

    def transform_fn(cross_encoder: CrossEncoder, data: bytes, content_type: str, accept: str) -> bytes:
        # json.dumps is what the notebook's encoder.encode comes to for a dictionary.
        return json.dumps({"scores": cross_encoder(**json.loads(data))}).encode()

    return model_fn, transform_fn


if side == "notebook":
    model_fn, transform_fn = notebook_handlers()
else:
    from crossrank.sagemaker.inference import model_fn, transform_fn

requests = json.loads(Path(file).read_text(encoding="utf-8"))
started = time.perf_counter()
model = model_fn(model_name)
load = time.perf_counter() - started
transform_fn(model, json.dumps(requests[0]).encode(), JSON, JSON)  # the first request of all prepares things
seconds, scores = [], []
for request in requests:
    body = json.dumps(request).encode()
    started = time.perf_counter()
    answer = transform_fn(model, body, JSON, JSON)
    seconds.append(time.perf_counter() - started)
    scores.append(json.loads(answer[0] if isinstance(answer, tuple) else answer)["scores"])
libraries = ("torch", "transformers") if side == "notebook" else ("crossrank", "openvino")
versions = [f"{name} {version(name)}" for name in libraries]
print(json.dumps({"load": load, "seconds": seconds, "scores": scores, "versions": versions}))
