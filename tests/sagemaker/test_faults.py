"""What goes wrong between the client and an endpoint: each its own error, which says what to do."""

from __future__ import annotations

import json
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.aws import REGION, SECRET, fake_credentials, without_credentials
from support.endpoint import Answer, Endpoint, model_error, not_ready, running_endpoint, throttled

from crossrank import CrossrankError, InputError
from crossrank.sagemaker import client as client_module
from crossrank.sagemaker.client import SagemakerCrossEncoder
from crossrank.sagemaker.faults import (
    CredentialsError,
    EndpointAnswerError,
    EndpointBusyError,
    EndpointError,
    EndpointModelError,
    EndpointNotFoundError,
    EndpointNotReadyError,
    EndpointRequestError,
    EndpointTimeoutError,
    EndpointUnreachableError,
    explained,
)

PAIRS = [("who", "bakes"), ("who", "sails")]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    fake_credentials(monkeypatch)
    monkeypatch.setattr(client_module, "_FIRST_PAUSE", 0.01)
    with running_endpoint() as running:
        yield running


def client(endpoint: Endpoint, **options: Any) -> SagemakerCrossEncoder:
    return SagemakerCrossEncoder("bakery", REGION, endpoint_url=endpoint.url, **options)


def error_of(endpoint: Endpoint, *answers: Answer, **options: Any) -> CrossrankError:
    endpoint.say(*answers)
    with pytest.raises(CrossrankError) as caught:
        client(endpoint, **options).logits(PAIRS)
    assert SECRET not in str(caught.value)
    assert "sails" not in str(caught.value), "nobody's texts belong into a message"
    return caught.value


@pytest.mark.parametrize(
    "answer",
    [
        throttled(),
        not_ready(),
        Answer({}, 400, "ModelNotReadyException"),
        Answer({}, 429),
        Answer({"message": "busy"}, 503, "ServiceUnavailable"),
        Answer(b"<html>bad gateway</html>", 502),
        Answer({}, 500, "InternalFailure"),
        model_error(503, "Worker queue is full"),
        model_error(429, "slow down"),
        Answer(close=True),
    ],
    ids=lambda answer: f"{answer.error}-{answer.status}",
)
def test_what_passes_is_tried_again(answer: Answer, endpoint: Endpoint) -> None:
    endpoint.say(answer, answer, answer)
    assert client(endpoint).logits(PAIRS)[0].tolist() == [3 + 5 / 1024] * 2
    assert len(endpoint.requests) == 4


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (throttled(), EndpointBusyError, "too busy for .*Rate exceeded.*Raise deadline"),
        (not_ready(), EndpointNotReadyError, "was not ready after .* still being loaded"),
        (Answer(close=True), EndpointUnreachableError, "cannot be reached"),
    ],
)
def test_what_does_not_pass_before_the_deadline_is_an_error(
    answer: Answer, kind: type[Exception], message: str, endpoint: Endpoint
) -> None:
    with pytest.raises(kind, match=rf"endpoint 'bakery' \({REGION}\).*{message}"):
        raise error_of(endpoint, *[answer] * 1000, deadline=0.3)
    assert 1 < len(endpoint.requests) < 1000, "tried again, and given up"


def test_a_deadline_of_nothing_means_one_attempt(endpoint: Endpoint) -> None:
    assert isinstance(error_of(endpoint, throttled(), deadline=0), EndpointBusyError)
    assert len(endpoint.requests) == 1


def test_a_model_s_error_keeps_what_the_model_said(endpoint: Endpoint) -> None:
    error = error_of(endpoint, model_error(400, "passage 7 is no string"))
    assert isinstance(error, EndpointModelError)
    assert error.original_status_code == 400
    assert error.original_message == "passage 7 is no string"
    assert "its model answered 400: passage 7 is no string" in str(error)
    assert "log-group:/aws/sagemaker/Endpoints/bakery" in str(error)
    assert len(endpoint.requests) == 1
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.original_status_code) == (str(error), 400)


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (
            Answer({"Message": "Endpoint bakery of account 1 not found."}, 400, "ValidationError"),
            EndpointNotFoundError,
            "does not exist or is not in service yet .*crossrank sagemaker status",
        ),
        (
            Answer({"Message": "1 validation error detected"}, 400, "ValidationError"),
            EndpointRequestError,
            "refused the request: 1 validation error",
        ),
        (Answer({}, 413), EndpointRequestError, "too large .* Lower max_bytes"),
        (
            Answer({"message": "The security token is expired"}, 403, "ExpiredTokenException"),
            CredentialsError,
            "credentials have expired .*aws sso login",
        ),
        (
            Answer({"message": "The security token is invalid"}, 403, "UnrecognizedClientException"),
            CredentialsError,
            "does not accept the credentials",
        ),
        (
            Answer({"Message": "User: x is not authorized"}, 403, "AccessDeniedException"),
            CredentialsError,
            "do not allow this .* not authorized.* Add the permission",
        ),
        (Answer({"Message": "odd"}, 418, "TeapotException"), EndpointError, "TeapotException .418.: odd"),
    ],
    ids=lambda value: value.error or value.status if isinstance(value, Answer) else None,
)  # fmt: skip
def test_what_cannot_pass_is_said_at_once(
    answer: Answer, kind: type[Exception], message: str, endpoint: Endpoint
) -> None:
    with pytest.raises(kind, match=message):
        raise error_of(endpoint, answer)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON: it is empty"),
        (b'{"scores": [1.0,', "not JSON: it begins"),
        (b"<html>", "not JSON: it begins '<html>'"),
        (b"\xff\xfe\xfa", "not JSON"),
        (b"[1.0, 2.0]", 'no list of "scores"'),
        (b'{"score": [1.0, 2.0]}', 'no list of "scores"'),
        (b'{"scores": 1.0}', 'no list of "scores"'),
        (b'{"scores": [1.0]}', "1 scores for 2 pairs"),
        (b'{"scores": [1.0, 2.0, 3.0]}', "3 scores for 2 pairs"),
        (b'{"scores": [1.0, NaN]}', "score 1 is nan"),
        (b'{"scores": [Infinity, 1.0]}', "score 0 is inf"),
        (b'{"scores": [1.0, 1e300]}', "score 1 is 1e.300, which is not finite"),
        (b'{"scores": [1.0, null]}', "score 1 is None"),
        (b'{"scores": [1.0, "2.0"]}', "score 1 is '2.0'"),
        (b'{"scores": [true, 1.0]}', "score 0 is True"),
        (b'{"scores": [[1.0], [2.0]]}', "score 0 is .1.0."),
    ],
)
def test_an_answer_that_is_no_score_a_pair_is_an_error(body: bytes, message: str, endpoint: Endpoint) -> None:
    with pytest.raises(EndpointAnswerError, match=f"does not answer as a cross-encoder does: .*{message}"):
        raise error_of(endpoint, Answer(body))


def test_a_slow_answer_is_an_error_and_not_sent_again(endpoint: Endpoint) -> None:
    with pytest.raises(EndpointTimeoutError, match="no answer in time"):
        raise error_of(endpoint, Answer({"scores": [1, 2]}, seconds=0.6), timeout=0.2)
    assert len(endpoint.requests) == 1


def test_an_error_does_not_wait_for_slower_parts(endpoint: Endpoint) -> None:
    released = threading.Event()
    slow = Answer({"scores": [1]}, until=released)
    endpoint.say(slow, Answer({"Message": "no"}, 400, "ValidationError"))
    # Who waited for the slow part would wait until the test is ended.
    with pytest.raises(EndpointRequestError):
        client(endpoint, max_pairs=1, timeout=3600.0).logits(PAIRS)
    released.set()


def test_after_an_error_a_throttled_part_is_not_sent_again(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_FIRST_PAUSE", 0.2)
    refused = Answer({"Message": "no"}, 400, "ValidationError", seconds=0.05)
    endpoint.choose = lambda pairs: throttled() if pairs[0][1] == "bakes" else refused
    with pytest.raises(EndpointRequestError):
        client(endpoint, max_pairs=1).logits(PAIRS)
    time.sleep(0.4)
    assert len(endpoint.requests) == 2


def test_nobody_at_the_address_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_credentials(monkeypatch)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(EndpointUnreachableError, match=r"cannot be reached .*network and any proxy"):
        SagemakerCrossEncoder("bakery", REGION, endpoint_url=url).logits(PAIRS)


def test_missing_credentials_are_said_when_they_are_needed(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_credentials(monkeypatch)
    model = client(endpoint)
    with pytest.raises(CredentialsError, match=r"no usable AWS credentials .*aws sso login"):
        model.logits(PAIRS)
    assert endpoint.requests == []


def test_a_profile_that_is_not_there_is_said(endpoint: Endpoint) -> None:
    with pytest.raises(CredentialsError, match="no AWS profile 'bakers'"):
        client(endpoint, profile_name="bakers").logits(PAIRS)


def test_a_broken_configuration_is_an_input_error(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("no configuration")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(InputError, match=r"no client can be made .*Unable to parse"):
        client(endpoint).logits(PAIRS)


def test_a_login_that_has_expired_is_an_error_of_credentials() -> None:
    from botocore import exceptions

    # The second came with `aws login`, and older releases of botocore do not have it.
    names = ("UnauthorizedSSOTokenError", "LoginRefreshRequired")
    known = [getattr(exceptions, name)() for name in names if hasattr(exceptions, name)]
    assert known
    for error in known:
        assert isinstance(explained(error, "endpoint 'bakery'"), CredentialsError)


def test_a_region_has_to_be_known(endpoint: Endpoint) -> None:
    with pytest.raises(InputError, match="no AWS region is named; give region_name"):
        SagemakerCrossEncoder("bakery", endpoint_url=endpoint.url).logits(PAIRS)


@pytest.mark.parametrize("options", [{"endpoint_url": "no address"}, {"region_name": "no region!"}])
def test_an_address_or_region_that_is_none_is_an_input_error(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_credentials(monkeypatch)
    with pytest.raises(InputError, match="no client can be made"):
        SagemakerCrossEncoder("bakery", **{"region_name": REGION, **options}).logits(PAIRS)


def test_an_unknown_argument_of_invoke_endpoint_is_an_input_error(endpoint: Endpoint) -> None:
    with pytest.raises(InputError, match="TargetVersion"):
        client(endpoint, endpoint_kwargs={"TargetVersion": "2"}).logits(PAIRS)


def test_without_boto3_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['boto3'] = None\n"
        "from crossrank.sagemaker.client import SagemakerCrossEncoder\n"
        "try: SagemakerCrossEncoder('bakery').logits([('a', 'b')])\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "MissingExtraError" in output
    assert "pip install 'crossrank[sagemaker]'" in output


def test_texts_reach_no_log(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    endpoint.say(throttled())
    with caplog.at_level("INFO"):
        client(endpoint).logits(PAIRS)
    assert "sails" not in caplog.text
    assert json.dumps(endpoint.requests[0]).count("sails") == 1
