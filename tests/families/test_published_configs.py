"""config.json as it is published in repositories of these architectures, with smaller sizes.

Where the published text was not at hand (gte-multilingual-reranker-base, the Ettin rerankers,
gte-reranker-modernbert-base), tests/support/modern_models.py has the same settings in words of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.modern_models import LONGEST, MODERN, write_modern_reranker
from support.tiny_models import HEADS, HIDDEN, INNER, PAIRS, write_json

from crossrank.families import family_of_config
from crossrank.families.model import reads_safetensors
from crossrank.inference.cross_encoder import CrossEncoder

CONFIGS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "published_configs.json").read_text(encoding="utf-8")
)
SMALL = {
    "hidden_size": HIDDEN,
    "n_embd": HIDDEN,
    "pooler_hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "n_head": HEADS,
    "intermediate_size": INNER,
    "n_inner": INNER,
    "max_position_embeddings": LONGEST,
    "n_positions": LONGEST,
    "position_buckets": 16,
}
# The tensors of tests/support/modern_models.py that a model has the names of.
TENSORS = {
    "Alibaba-NLP/gte-large-en-v1.5": "gte",
    "Snowflake/snowflake-arctic-embed-m-v2.0": "new",
    "jinaai/jina-reranker-v1-tiny-en": "jina-bert",
    "jinaai/jina-reranker-v1-turbo-en": "jina-bert",
    "mixedbread-ai/mxbai-rerank-large-v1": "deberta-v2",
    "mixedbread-ai/mxbai-rerank-xsmall-v1": "deberta-v2",
    "nomic-ai/nomic-embed-text-v1.5": "nomic_bert-own",
    "nomic-ai/modernbert-embed-base": "modernbert",
}


@pytest.mark.parametrize("name", CONFIGS)
def test_published_configuration_has_a_graph(name: str) -> None:
    assert reads_safetensors(CONFIGS[name])
    assert family_of_config(CONFIGS[name]).graph is not None


@pytest.mark.parametrize("name", CONFIGS)
def test_published_configuration_runs(name: str, tmp_path: Path) -> None:
    kind = TENSORS[name]
    folder = write_modern_reranker(tmp_path / "model", kind)
    words = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    published = CONFIGS[name]
    small = {key: SMALL[key] for key in SMALL if key in published}
    count = MODERN[kind].config["num_hidden_layers"]
    layers = {key: count for key in ("num_hidden_layers", "n_layer") if key in published}
    # The tokenizer is BERT's; embedders have as many labels as anyone likes.
    own = {"vocab_size": words, "pad_token_id": 0, "id2label": {"0": "LABEL_0"}}
    write_json(folder / "config.json", published | small | layers | own)
    outputs = CrossEncoder(folder).logits(list(PAIRS))[0]
    assert np.isfinite(outputs).all()
    assert outputs.std() > 0.05
