"""Where a container's weights come from: an unpacked archive first, then a name in the environment."""

from __future__ import annotations

import os
from pathlib import Path

from crossrank.errors import ModelError

# As Hugging Face's own SageMaker containers call it.
MODEL_NAME_VARIABLE = "HF_MODEL_ID"


def container_model_dir() -> Path:
    """Where SageMaker unpacks an archive in every container: /opt/ml/model.

    SAGEMAKER_BASE_DIR, the toolkit's own variable, stands in for /opt/ml where it is set.
    """
    return Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"), "model")


def model_name() -> str:
    """The model that the environment names; empty where it names none."""
    return os.environ.get(MODEL_NAME_VARIABLE, "").strip()


def find_model(model_dir: str | Path) -> Path | str:
    """The folder of an unpacked archive, or the name of a model.

    Args:
        model_dir: Where the archive was unpacked.

    Returns:
        ``model_dir`` where it holds a model; else what HF_MODEL_ID names.

    Raises:
        ModelError: Neither is there.
    """
    folder = Path(model_dir)
    if (folder / "config.json").is_file():
        return folder
    if name := model_name():
        return name
    raise ModelError(
        f"there is no model: {folder} holds no config.json, and {MODEL_NAME_VARIABLE} names none. "
        "Package one (crossrank sagemaker package MODEL -o model.tar.gz), or set "
        f"{MODEL_NAME_VARIABLE} to a Hugging Face name such as BAAI/bge-reranker-base."
    )
