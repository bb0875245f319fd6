from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny_models import change_json, write_json, write_reranker

from crossrank.errors import MissingExtraError, ModelError
from crossrank.families.model import open_model
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.scores import Scoring, scoring_of


def language_model(folder: Path) -> Path:
    """A folder that says of itself that it is one; the weights are not looked at."""
    write_reranker(folder)
    change_json(folder / "config.json", model_type="qwen3", architectures=["Qwen3ForCausalLM"])
    return folder


def test_language_model_that_nobody_made_a_reranker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a language model, and nothing says how it scores"):
        CrossEncoder(language_model(tmp_path / "Qwen3-0.6B"))


@pytest.mark.usefixtures("without_torch")
def test_language_model_without_pytorch_is_an_error_that_names_the_extra(tmp_path: Path) -> None:
    folder = language_model(tmp_path / "model")
    modules = [("", "Transformer"), ("1_LogitScore", "LogitScore")]
    write_json(
        folder / "modules.json",
        [{"path": path, "type": f"sentence_transformers.x.{kind}"} for path, kind in modules],
    )
    write_json(folder / "sentence_bert_config.json", {"transformer_task": "text-generation"})
    write_json(folder / "1_LogitScore" / "config.json", {"true_token_id": 7, "false_token_id": 8})
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    model = open_model(folder)
    assert scoring_of(model) == Scoring(1, 0, "sigmoid")
    with pytest.raises(MissingExtraError, match=r"pip install 'crossrank\[torch\]'"):
        CrossEncoder(folder)
