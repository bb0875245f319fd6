"""What can go wrong between here and an endpoint: botocore's errors as ours, each with what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crossrank.errors import CrossrankError, InputError

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_REFUSED = frozenset(
    {
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_FORBIDDEN = frozenset({"AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation"})
# By the names of their classes or of those above, so that botocore need not be imported to know them.
_NO_CREDENTIALS = frozenset(
    {
        "CredentialRetrievalError",
        "LoginError",
        "NoAuthTokenError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "SSOError",
        "SSOTokenLoadError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
    }
)
_TIMEOUTS = frozenset({"ConnectTimeoutError", "ReadTimeoutError"})
_NO_CONNECTION = frozenset(
    {
        "ConnectionClosedError",
        "ConnectionError",
        "EndpointConnectionError",
        "HTTPClientError",
        "IncompleteReadError",
        "ProxyConnectionError",
        "ResponseStreamingError",
        "SSLError",
    }
)
# A connection that was there and broke; one that cannot be made at all is no matter of waiting.
_BROKEN = frozenset({"ConnectionClosedError", "IncompleteReadError", "ResponseStreamingError"})
_BUSY_CODES = frozenset(
    {
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)
_NOT_READY = "ModelNotReadyException"
# The container's own "too much at once" comes wrapped in a ModelError.
_BUSY_STATUSES = frozenset({429, 503})
_TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})
_HOW_TO_LOG_IN = (
    "Set AWS_PROFILE or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or log in with "
    "`aws sso login` or `aws configure`"
)


class EndpointError(CrossrankError):
    """A SageMaker endpoint, or AWS on the way to it, that did not do what was asked."""


class CredentialsError(EndpointError):
    """AWS credentials that are missing, expired, wrong, or not enough."""


class EndpointNotFoundError(EndpointError):
    """No endpoint of that name is in service in the region."""


class EndpointRequestError(EndpointError):
    """SageMaker refused the request itself (``ValidationError``)."""


class EndpointNotReadyError(EndpointError):
    """The model was still being loaded when the deadline came (``ModelNotReadyException``)."""


class EndpointBusyError(EndpointError):
    """The endpoint still refused for want of capacity when the deadline came (429, 503)."""


class EndpointTimeoutError(EndpointError):
    """No answer came in time."""


class EndpointUnreachableError(EndpointError):
    """There was no connection to AWS."""


class EndpointAnswerError(EndpointError):
    """The endpoint answered with something else than one finite score a pair."""


class EndpointModelError(EndpointError):
    """The model's container answered with an error (``ModelError``).

    Args:
        message: What went wrong.
        original_status_code: The HTTP status with which the container answered.
        original_message: What the container said.
    """

    def __init__(self, message: str, original_status_code: int | None, original_message: str) -> None:
        super().__init__(message)
        self.original_status_code = original_status_code
        self.original_message = original_message

    def __reduce__(self) -> tuple[Any, ...]:
        return EndpointModelError, (str(self), self.original_status_code, self.original_message)


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is known of an error of boto3's.

    Attributes:
        what: What was talked to, such as ``endpoint 'reranker' (eu-west-1)``.
        names: Of the error's class and of those above it.
        code: AWS's code, else the HTTP status; empty for an error below HTTP.
        status: The HTTP status; None for an error below HTTP.
        response: The parsed answer; empty for an error below HTTP.
        message: What AWS, or the library, says.
        waited: The seconds of trying that came before.
    """

    what: str
    names: frozenset[str]
    code: str
    status: int | None
    response: Mapping[str, Any]
    message: str
    waited: float


def is_transient(error: Exception) -> bool:
    """Whether the same request may succeed a little later: no capacity, a model that loads, a broken line."""
    if type(error).__name__ in _BROKEN:
        return True
    code, status, response = _parts(error)
    if code == "ModelError":
        return response.get("OriginalStatusCode") in _BUSY_STATUSES
    return code in _BUSY_CODES or code == _NOT_READY or status in _TRANSIENT_STATUSES


def explained(error: Exception, what: str, *, waited: float = 0.0) -> CrossrankError:
    """An error of boto3's as one that says what was wrong and what to do.

    Args:
        error: What boto3 raised.
        what: What was talked to, such as ``endpoint 'reranker' (eu-west-1)``; the message begins with it.
        waited: The seconds of trying that came before.
    """
    if isinstance(error, CrossrankError):
        return error
    names = frozenset(kind.__name__ for kind in type(error).__mro__)
    code, status, response = _parts(error)
    message = str(response.get("Error", {}).get("Message") or error)[:500]
    fault = _Fault(what, names, code, status, response, message, waited)
    for explain in (_credentials_error, _model_error, _availability_error, _request_error):
        if (known := explain(fault)) is not None:
            return known
    failed_with = (code or type(error).__name__) + (f" ({status})" if status else "")
    return EndpointError(f"{what} failed with {failed_with}: {message}")


def _credentials_error(fault: _Fault) -> CrossrankError | None:
    what, message = fault.what, fault.message
    if fault.names & _NO_CREDENTIALS:
        return CredentialsError(f"{what}: there are no usable AWS credentials ({message}). {_HOW_TO_LOG_IN}")
    if fault.code in _EXPIRED:
        return CredentialsError(f"{what}: the AWS credentials have expired ({message}). {_HOW_TO_LOG_IN}")
    if fault.code in _REFUSED:
        return CredentialsError(f"{what}: AWS does not accept the credentials ({message}). {_HOW_TO_LOG_IN}")
    if fault.code in _FORBIDDEN or (fault.status == 403 and fault.code != "ModelError"):
        return CredentialsError(
            f"{what}: the AWS credentials do not allow this ({message}). Add the permission to their policy"
        )
    return None


def _model_error(fault: _Fault) -> CrossrankError | None:
    if fault.code != "ModelError":
        return None
    status = fault.response.get("OriginalStatusCode")
    said = str(fault.response.get("OriginalMessage") or fault.message)
    log = fault.response.get("LogStreamArn")
    advice = f"its log is {log}" if log else "its log is in CloudWatch under /aws/sagemaker/Endpoints/"
    if status in _BUSY_STATUSES:
        advice = f"it was too busy until the deadline; {advice}"
    return EndpointModelError(
        f"{fault.what}: its model answered {status or 'with an error'}: {said.strip()[:500]} ({advice})",
        status,
        said,
    )


def _availability_error(fault: _Fault) -> CrossrankError | None:
    what, message, waited = fault.what, fault.message, fault.waited
    if fault.names & _TIMEOUTS:
        return EndpointTimeoutError(
            f"{what} gave no answer in time ({message}). Send fewer pairs a request (max_pairs), raise "
            "timeout, or give the endpoint more capacity; SageMaker itself gives a model 60 seconds"
        )
    if fault.code == _NOT_READY:
        return EndpointNotReadyError(
            f"{what}: the model was not ready after {waited:.0f} s ({message}). A serverless endpoint that "
            "was idle starts again; raise deadline, or try again in a minute"
        )
    if fault.code in _BUSY_CODES or fault.status in _BUSY_STATUSES:
        return EndpointBusyError(
            f"{what} was too busy for {waited:.0f} s ({message}). Raise deadline, lower concurrency, or give "
            "the endpoint more capacity"
        )
    if fault.names & _NO_CONNECTION:
        return EndpointUnreachableError(
            f"{what} cannot be reached ({message}). Check the region's name, the network and any proxy"
        )
    return None


def _request_error(fault: _Fault) -> CrossrankError | None:
    what, message = fault.what, fault.message
    if fault.code in {"ValidationError", "ValidationException"}:
        # AWS has one code for a wrong request and for a name that is not there; only its words differ.
        if "not found" in message.lower() or "could not find" in message.lower():
            return EndpointNotFoundError(
                f"{what} does not exist or is not in service yet ({message}). Check name and region; "
                "`crossrank sagemaker status` shows whether it is still being created"
            )
        return EndpointRequestError(f"{what} refused the request: {message}")
    if fault.status == 413:
        return EndpointRequestError(f"{what} refused the request as too large ({message}). Lower max_bytes")
    if "ParamValidationError" in fault.names:
        return InputError(f"{what}: {message}")
    return None


def _parts(error: Exception) -> tuple[str, int | None, Mapping[str, Any]]:
    """The code, the HTTP status and the parsed answer of a ClientError; empty for any other error."""
    response = getattr(error, "response", None)
    # Errors below HTTP, such as a timeout, may have a "response" that is none.
    if not isinstance(response, Mapping):
        return "", None, {}
    code = str(response.get("Error", {}).get("Code") or "")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return code or str(status or ""), status, response
