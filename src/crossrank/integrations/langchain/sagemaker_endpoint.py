"""A cross-encoder on a SageMaker endpoint as LangChain's BaseCrossEncoder (extra ``sagemaker``)."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

from pydantic import ConfigDict, Field, PrivateAttr

from crossrank.errors import InputError
from crossrank.inference.pairs import Pair
from crossrank.integrations.langchain.keywords import check_keywords
from crossrank.integrations.langchain.scoring import ACTIVATION_KEYS, LogitCrossEncoder, given_activation
from crossrank.sagemaker.client import SagemakerCrossEncoder
from crossrank.sagemaker.faults import EndpointAnswerError

# The client's options that are accepted in model_kwargs.
_OPTIONS = ("concurrency", "deadline", "endpoint_url", "max_bytes", "max_pairs", "scripts", "timeout")


class CrossEncoderContentHandler:
    """Encodes pairs and decodes scores; subclass it for an endpoint with another format.

    LangChain's archived class sent ``text_pairs``, which the notebook's server does not accept.

    Example:
        >>> class TextPairs(CrossEncoderContentHandler):
        ...     def transform_input(self, text_pairs):
        ...         return json.dumps({"text_pairs": text_pairs}).encode()
        >>> TextPairs().transform_input([("Who bakes?", "Bakers.")])
        b'{"text_pairs": [["Who bakes?", "Bakers."]]}'
    """

    content_type = "application/json"
    accepts = "application/json"

    def transform_input(self, text_pairs: list[tuple[str, str]]) -> bytes:
        """The body of a request: ``{"pairs": [[query, passage], ...]}``."""
        return json.dumps({"pairs": text_pairs}, ensure_ascii=False).encode()

    def transform_output(self, output: Any) -> list[float]:
        """The scores in a response, ``{"scores": [...]}``; ``output`` is a stream like boto3's bodies."""
        scores: list[float] = json.loads(output.read())["scores"]
        return scores


class SagemakerEndpointCrossEncoder(LogitCrossEncoder):
    """A cross-encoder on a SageMaker endpoint, with the arguments of LangChain's archived class.

    Unlike that class, it works with the notebook's inference.py, respects the size limits of requests, and
    retries transient errors. It applies an activation to the endpoint's logits, so that the scores are on the
    same scale as those of :class:`HuggingFaceCrossEncoder`. It also works with LangChain's own
    ``CrossEncoderReranker``, but only crossrank's keeps the logits.

    Args:
        client: A boto3 client for ``sagemaker-runtime``; by default one is created at the first request.
        endpoint_name: The name of the endpoint.
        region_name: The region; by default from the environment or the profile.
        credentials_profile_name: The AWS profile; by default boto3's usual credentials.
        content_handler: Encodes pairs and decodes scores: :class:`CrossEncoderContentHandler`, or any object
            with its methods and attributes.
        model_kwargs: ``activation`` (``"sigmoid"`` by default, ``"none"``, ``"tanh"``) or ``activation_fn``
            (a PyTorch module); and the options ``max_pairs``, ``max_bytes``, ``concurrency``, ``timeout``,
            ``deadline``, ``scripts`` and ``endpoint_url`` of
            :class:`crossrank.sagemaker.client.SagemakerCrossEncoder`.
        endpoint_kwargs: Further arguments of ``invoke_endpoint``, such as ``TargetVariant``.

    Raises:
        InputError: The name is missing, or a keyword is unknown or its value not supported.

    Example:
        >>> from crossrank.integrations.langchain import CrossEncoderReranker
        >>> model = SagemakerEndpointCrossEncoder(endpoint_name="my-reranker", region_name="eu-west-1")
        >>> CrossEncoderReranker(model=model, top_n=3).compress_documents([], "Who bakes bread?")
        []
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    client: Any = None
    endpoint_name: str = ""
    region_name: str = ""
    credentials_profile_name: str | None = None
    content_handler: Any = Field(default_factory=CrossEncoderContentHandler)
    model_kwargs: dict[str, Any] | None = None
    endpoint_kwargs: dict[str, Any] | None = None
    _scorer: SagemakerCrossEncoder = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Check the keywords; no request is sent to AWS yet."""
        keywords = self.model_kwargs or {}
        check_keywords("model_kwargs", keywords, *_OPTIONS, *ACTIVATION_KEYS)
        self._activation = given_activation(keywords)
        self._scorer = SagemakerCrossEncoder(
            self.endpoint_name,
            self.region_name,
            profile_name=self.credentials_profile_name,
            client=self.client,
            endpoint_kwargs=self.endpoint_kwargs,
            wire=_Handled(self.content_handler),
            **{name: keywords[name] for name in _OPTIONS if keywords.get(name) is not None},
        )

    @property
    def scorer(self) -> SagemakerCrossEncoder:
        """The client, with the local cross-encoder's methods."""
        return self._scorer


class _Handled:
    """Adapts a content handler to the client's wire format."""

    def __init__(self, handler: Any) -> None:
        for name in ("transform_input", "transform_output", "content_type", "accepts"):
            if not hasattr(handler, name):
                raise InputError(
                    f"content_handler must have {name}, as CrossEncoderContentHandler does; "
                    f"it is {handler!r:.80}"
                )
        self._handler = handler
        self.content_type: str = handler.content_type
        self.accept: str = handler.accepts

    def encode(self, pairs: Sequence[Pair]) -> bytes:
        """The body of a request."""
        body = self._handler.transform_input(list(pairs))
        return body.encode() if isinstance(body, str) else bytes(body)

    def decode(self, body: bytes) -> Sequence[float]:
        """The scores in an answer."""
        from botocore.response import StreamingBody

        try:
            scores = list(self._handler.transform_output(StreamingBody(io.BytesIO(body), len(body))))
        # Any error of the user's handler means that it cannot read the response.
        except Exception as error:
            raise EndpointAnswerError(
                f"content_handler cannot read the answer ({type(error).__name__}: {error}), "
                f"which begins {body[:200].decode(errors='replace')!r}"
            ) from error
        return scores
