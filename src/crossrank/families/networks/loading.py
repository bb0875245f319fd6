"""From a model's folder to a network of transformers on a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import transformers

from crossrank.errors import ModelError
from crossrank.families.fit import check_layers
from crossrank.families.model import Model

if TYPE_CHECKING:
    from torch import Tensor


def read_config(model: Model) -> Any:
    """The folder's configuration as transformers reads it.

    Raises:
        ModelError: transformers does not know the family, or cannot read the file.
    """
    config = dict(model.transformers_config or {})
    try:
        if "auto_map" in model.config:  # what the repository's own code would compute, in transformers
            return transformers.AutoConfig.for_model(config.pop("model_type"), **config)
        return transformers.AutoConfig.from_pretrained(
            model.path, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # whatever its many readers raise
        raise ModelError(
            f"{model.name} is a {model.architecture} model, which transformers {transformers.__version__} "
            f"cannot read: {_brief(error)}"
        ) from error


def load_network(
    model: Model,
    config: Any,
    network_class: Any,
    dtype: torch.dtype,
    *,
    attention: str | None,
    unused: tuple[str, ...] = (),
) -> Any:
    """A network with the folder's weights, ready to infer, on the CPU.

    Only safetensors are read, and nothing is fetched.

    Args:
        model: The folder.
        config: Its configuration.
        network_class: transformers' class for it.
        dtype: Of the body, later. Weights that are stored in less than float32 stay so until then, unless
            it is float32.
        attention: The name of an attention implementation; None for transformers' choice.
        unused: How the names of tensors begin that may be missing.

    Raises:
        ModelError: The weights cannot be read, or lack a part of the network, such as its head.
    """
    if model.family.graph is not None:  # of others, the names of tensors are not known here
        check_layers(model, config.num_hidden_layers)
    # Weights are cast later, so that the head keeps the stored precision.
    whole = dtype is torch.float32 or model.weights.is_int8 or model.weights.is_float32
    options = {"dtype": torch.float32 if whole else "auto", "attn_implementation": attention}
    try:
        with _quiet():
            if model.weights.is_int8:
                tensors = _dequantised(model)
                network, report = network_class.from_pretrained(
                    None, config=config, state_dict=tensors, output_loading_info=True, **options
                )
            else:
                network, report = network_class.from_pretrained(
                    model.path,
                    config=config,
                    use_safetensors=True,
                    local_files_only=True,
                    output_loading_info=True,
                    **options,
                )
    except ModelError:
        raise
    except Exception as error:  # sizes that differ, settings that contradict each other, and more
        raise ModelError(f"{model.name} cannot be loaded by transformers: {_brief(error)}") from error
    if missing := sorted(name for name in report["missing_keys"] if not name.startswith(unused)):
        raise ModelError(
            f"{model.name} has no tensor {missing[0]!r}, which a {network_class.__name__} needs; other "
            "libraries would fill it with random numbers. A reranker is saved as "
            "...ForSequenceClassification, or by sentence-transformers with its modules (modules.json)."
        )
    return network.eval()


def _dequantised(model: Model) -> dict[str, Tensor]:
    return {name: torch.from_numpy(model.weights.float32(name).copy()) for name in model.weights.learnt()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' bars and tables: what is wrong with a model is an error here."""
    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
