"""crossrank sagemaker deploy, status, invoke and delete, against moto and a server on this machine."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from support.aws import REGION, fake_credentials
from support.endpoint import Answer, Endpoint, running_endpoint

from crossrank.cli import exit_codes
from crossrank.cli.main import main

Output = pytest.CaptureFixture[str]
IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/crossrank:1"
ROLE = "arn:aws:iam::123456789012:role/sagemaker"


def run(*arguments: str | Path) -> int:
    sys.argv = ["crossrank", "sagemaker", *map(str, arguments)]
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_credentials(monkeypatch)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setattr(sys, "argv", sys.argv)


@pytest.fixture
def deploy(tmp_path: Path) -> list[str]:
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        packed.addfile(tarfile.TarInfo("config.json"), io.BytesIO())
    options = {"--image": IMAGE, "--role": ROLE, "--bucket": "bread", "--instance-type": "ml.m5.large"}
    return ["deploy", "bakery", str(path), *(word for option in options.items() for word in option)]


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws():
        boto3.client("s3").create_bucket(
            Bucket="bread", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield


def test_a_dry_run_prints_the_requests_and_sends_none(deploy: list[str], capsys: Output) -> None:
    assert run(*deploy, "--env", "A=b=c", "--dry-run", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [request["operation"] for request in shown["requests"]] == [
        "upload_file",
        "create_model",
        "create_endpoint_config",
        "create_endpoint",
    ]
    assert shown["requests"][1]["parameters"]["PrimaryContainer"]["Environment"]["A"] == "b=c"
    assert "until the endpoint is deleted" in shown["billing"]
    assert run(*deploy, "--serverless", "--dry-run") == 0
    printed = capsys.readouterr().out
    assert '"MemorySizeInMB": 4096' in printed
    assert printed.endswith("Nothing was sent.\n")


@pytest.mark.usefixtures("aws")
def test_an_endpoint_from_deploying_to_deleting(deploy: list[str], capsys: Output) -> None:
    assert run(*deploy) == 0
    shown = capsys.readouterr()
    assert "InService" in shown.out
    assert "Billed until the endpoint is deleted, used or not: ml.m5.large" in shown.out
    assert f"crossrank sagemaker delete bakery --region {REGION}" in shown.out
    assert "crossrank: made endpoint bakery" in shown.err
    assert run("status", "bakery", "--json") == 0
    assert json.loads(capsys.readouterr().out)["status"] == "InService"
    assert run("delete", "bakery", "--dry-run", "--json") == 0
    requests = json.loads(capsys.readouterr().out)["requests"]
    assert [request["operation"] for request in requests] == [
        "delete_endpoint",
        "delete_endpoint_config",
        "delete_model",
    ]
    assert run("delete", "bakery") == exit_codes.INPUT, "nobody is there to be asked"
    assert "give --yes" in capsys.readouterr().err
    assert run("status", "bakery") == 0
    assert run("delete", "bakery", "--yes") == 0
    assert "Still in S3, and billed as storage: s3://bread/crossrank/bakery/" in capsys.readouterr().out
    assert run("status", "bakery") == exit_codes.SYSTEM
    assert "there is no endpoint bakery in eu-west-1" in capsys.readouterr().err


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(("answer", "code"), [("n\n", exit_codes.INTERRUPTED), ("y\n", 0)])
def test_deleting_asks_first(
    answer: str, code: int, deploy: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert run(*deploy) == 0
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert run("delete", "bakery") == code
    asked = capsys.readouterr().err
    assert "Delete endpoint bakery, endpoint configuration bakery, model bakery in eu-west-1?" in asked
    assert run("status", "bakery") == (0 if code else exit_codes.SYSTEM)


@pytest.mark.usefixtures("aws")
def test_a_failed_deploy_is_one_line_that_says_how_to_remove_it(deploy: list[str], capsys: Output) -> None:
    assert run(*deploy, "--instance-type", "ml.oven.large") == exit_codes.SYSTEM
    last = capsys.readouterr().err.splitlines()[-1]
    assert "ml.oven.large" in last
    assert "To remove it: `crossrank sagemaker delete bakery --region eu-west-1` and `aws s3 rm s3://" in last


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with running_endpoint() as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", running.url)
        yield running


@pytest.fixture
def passages(tmp_path: Path) -> Path:
    path = tmp_path / "passages.txt"
    path.write_text("short\na little longer\n")
    return path


def test_invoke_ranks_with_the_endpoint(endpoint: Endpoint, passages: Path, capsys: Output) -> None:
    assert run("invoke", "bakery", "who", passages, "--json", "--top-n", "1") == 0
    (hit,) = json.loads(capsys.readouterr().out)["hits"]
    assert hit["text"] == "a little longer"
    assert hit["logit"] == 3 + 15 / 1024
    assert endpoint.paths == ["/endpoints/bakery/invocations"]


def test_a_dry_run_of_invoke_prints_the_body(endpoint: Endpoint, passages: Path, capsys: Output) -> None:
    assert run("invoke", "bakery", "who", passages, "--dry-run", "--json", "--max-pairs", "1") == 0
    requests = json.loads(capsys.readouterr().out)["requests"]
    assert [json.loads(request["parameters"]["Body"]) for request in requests] == [
        {"pairs": [["who", "short"]]},
        {"pairs": [["who", "a little longer"]]},
    ]
    assert endpoint.requests == []


def test_an_interrupt_does_not_wait_for_the_answer(endpoint: Endpoint, passages: Path) -> None:
    endpoint.seconds = 30
    command = [sys.executable, "-m", "crossrank", "sagemaker", "invoke", "bakery", "who", str(passages)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not endpoint.requests:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == exit_codes.INTERRUPTED
        assert process.stderr is not None
        assert process.stderr.read() == "crossrank: interrupted\n"


def test_an_endpoint_that_is_not_there_is_one_line(
    endpoint: Endpoint, passages: Path, capsys: Output
) -> None:
    message = "Endpoint bakery of account 123456789012 not found."
    endpoint.say(Answer({"Message": message}, 400, "ValidationError"))
    assert run("invoke", "bakery", "who", passages) == exit_codes.SYSTEM
    (line,) = capsys.readouterr().err.splitlines()
    assert "does not exist or is not in service yet" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["deploy", "bakery", "missing.tar.gz", "--image", "i", "--role", ROLE], "no archive missing.tar.gz"),
        (["status", "my_bakery"], "letters, digits and hyphens"),
        (["invoke", "bakery", "who", "missing.txt"], "missing.txt"),
    ],
)
def test_what_cannot_be_used_is_an_input_error(arguments: list[str], message: str, capsys: Output) -> None:
    assert run(*arguments) == exit_codes.INPUT
    assert message in capsys.readouterr().err


def test_a_variable_without_a_value_is_refused(deploy: list[str], capsys: Output) -> None:
    assert run(*deploy, "--env", "A", "--dry-run") == exit_codes.INPUT
    assert "--env must be KEY=VALUE; it is 'A'" in capsys.readouterr().err
