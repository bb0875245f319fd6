"""Save a loaded cross-encoder to a folder that crossrank and sentence-transformers can load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from crossrank.errors import InputError
from crossrank.families.model import Model
from crossrank.inference.activations import Activation, name_to_save
from crossrank.inference.chains import is_language_model
from crossrank.inference.prompting import is_asked_by_template

# sentence-transformers reads prompts only from a folder with a modules.json.
_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}
]
_TRANSFORMER = {
    "transformer_task": "sequence-classification",
    "module_output_name": "scores",
}
_AS_TEXT = {"text": {"method": "forward", "method_output_name": "logits"}}
_AS_MESSAGES = _AS_TEXT | {"message": _AS_TEXT["text"] | {"format": "flat"}}


def save_model(
    model: Model,
    folder: Path,
    *,
    activation: Activation,
    prompts: dict[str, str],
    default_prompt_name: str | None,
    max_length: int,
    card: bool,
) -> None:
    """Copy a model's files, and write its settings.

    Args:
        model: The model.
        folder: The folder to write; created if it does not exist.
        activation: The function from outputs to scores.
        prompts: Texts to put before a query, by name.
        default_prompt_name: The prompt that is used if none is given.
        max_length: Maximum number of tokens per pair.
        card: Whether to copy README.md.

    Raises:
        InputError: The folder is the model's own, the activation has no name, or the model's format cannot
            store prompts.
    """
    settings = {
        "activation_fn": name_to_save(activation),
        "prompts": prompts,
        "default_prompt_name": default_prompt_name,
    }
    if folder.resolve() == model.path.resolve():
        raise InputError(f"{folder} is the folder that the model was loaded from; name another")
    if is_language_model(model) and not model.modules and prompts:
        raise InputError(f"{model.name} has no modules.json, so that its folder has no place for prompts")
    for name, source in model.needed_files().items():
        if name != "README.md" or card:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / name)
    if not model.modules and not is_language_model(model):
        _write(folder / "modules.json", _MODULES)
        read_as = _AS_MESSAGES if is_asked_by_template(model) else _AS_TEXT
        saved = model.json("sentence_bert_config.json")
        _write(folder / "sentence_bert_config.json", _TRANSFORMER | {"modality_config": read_as} | saved)
    extra = model.json("config_sentence_transformers.json")
    _write(folder / "config_sentence_transformers.json", {"model_type": "CrossEncoder"} | extra | settings)
    if max_length < model.max_tokens:
        _write(
            folder / "tokenizer_config.json",
            model.json("tokenizer_config.json") | {"model_max_length": max_length},
        )


def _write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
