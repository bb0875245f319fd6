"""The handlers that Amazon's sagemaker-inference toolkit calls.

``code/inference.py`` of an archive imports ``model_fn`` and ``transform_fn`` from here (docs/sagemaker.md).
"""

from __future__ import annotations

from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.scorer import for_ranking
from crossrank.sagemaker.toolkit import leave_tracebacks_out, raise_for_toolkit
from crossrank.server.answering import answer_body
from crossrank.server.model_source import find_model
from crossrank.server.request import RequestError
from crossrank.server.wire.sagemaker import SageMaker


def model_fn(model_dir: str) -> CrossEncoder:
    """Load the cross-encoder of an archive, else the one that HF_MODEL_ID names.

    Args:
        model_dir: Where the archive was unpacked.

    Raises:
        ModelError: There is no model, or it cannot be loaded.
    """
    leave_tracebacks_out()
    return for_ranking(CrossEncoder(find_model(model_dir)))


def transform_fn(
    model: CrossEncoder, data: bytes | bytearray | str, content_type: str | None, accept: str | None
) -> tuple[bytes, str]:
    """Answer one request.

    Args:
        model: What :func:`model_fn` gave.
        data: The body; text where the toolkit has decoded it.
        content_type: Of the body: JSON, JSON Lines, or CSV; JSON by default.
        accept: What the answer may be.

    Returns:
        The body of the answer and its content type.

    Raises:
        sagemaker_inference.errors.BaseInferenceToolkitError: The request cannot be answered; a
            :class:`crossrank.server.request.RequestError` where the toolkit is not installed.

    Example:
        >>> transform_fn(CrossEncoder(), '{"text_pairs": []}', "application/json; charset=utf-8", "*/*")
        (b'{"scores": []}', 'application/json')
    """
    try:
        return answer_body(SageMaker(), model, data, content_type, accept)
    except RequestError as error:
        raise_for_toolkit(error)
