"""Errors as the sagemaker-inference toolkit sends them: with their status, and without a traceback.

The toolkit is imported only here, and only where it runs.
"""

from __future__ import annotations

import sys
from http import HTTPStatus
from typing import Any, NoReturn

from crossrank.server.request import RequestError


def raise_for_toolkit(error: RequestError) -> NoReturn:
    """Raise the toolkit's error for a request that cannot be answered, or ``error`` without the toolkit."""
    try:
        from sagemaker_inference.errors import BaseInferenceToolkitError
    except ImportError:
        raise error from None
    raise BaseInferenceToolkitError(error.status, str(error), HTTPStatus(error.status).phrase) from error


def leave_tracebacks_out() -> None:
    """Let the toolkit answer wrong requests with the message alone; does nothing without the toolkit.

    ``Transformer.handle_error`` (1.10.1) appends a traceback to every message, which helps nobody who sent a
    wrong request, and there is no setting for it. Errors of other kinds are answered as before.
    """
    try:
        from sagemaker_inference.transformer import Transformer
    except ImportError:
        return
    original = Transformer.handle_error
    if hasattr(original, "without_traceback"):
        return

    def handle_error(context: Any, inference_exception: Any, trace: str) -> list[str]:
        raised = sys.exc_info()[1]
        if isinstance(raised, UnicodeDecodeError):
            # The toolkit decodes JSON and CSV before a handler sees them.
            context.set_response_status(code=400, phrase=HTTPStatus(400).phrase)
            return [f"the body is not valid UTF-8: {raised}. Name its charset in Content-Type"]
        answer: list[str] = original(context, inference_exception, trace)
        if isinstance(getattr(raised, "__cause__", None), RequestError):
            return [str(inference_exception.message)]
        return answer

    handle_error.without_traceback = True  # type: ignore[attr-defined]
    Transformer.handle_error = staticmethod(handle_error)
