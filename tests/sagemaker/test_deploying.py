"""Endpoints made, looked at and deleted in moto's SageMaker and S3."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sagemaker.models import sagemaker_backends
from support.aws import REGION, fake_credentials, without_credentials

from crossrank import InputError
from crossrank.sagemaker.aws import Aws
from crossrank.sagemaker.deploying import DeploymentError, delete, deploy, plan_deletion, status
from crossrank.sagemaker.deployment import Deployment
from crossrank.sagemaker.faults import CredentialsError, EndpointError, EndpointNotFoundError

IMAGE = f"{DEFAULT_ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/crossrank:1"
ROLE = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/sagemaker"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        packed.addfile(tarfile.TarInfo("config.json"), io.BytesIO())
    return path


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    fake_credentials(monkeypatch)
    with mock_aws():
        s3 = boto3.client("s3", region_name=REGION)
        s3.create_bucket(Bucket="bread", CreateBucketConfiguration={"LocationConstraint": REGION})
        yield Aws(REGION)


def deployment(archive: Path | str, **options: Any) -> Deployment:
    # moto's list of instance types is an old one.
    defaults = {"bucket": "bread", "instance_type": "ml.m5.large"}
    return Deployment("bakery", archive, IMAGE, ROLE, **{**defaults, **options})


def sagemaker() -> Any:
    return boto3.client("sagemaker", region_name=REGION)


def becomes(state: str, reason: str | None = None) -> None:
    endpoint = sagemaker_backends[DEFAULT_ACCOUNT_ID][REGION].endpoints["bakery"]
    endpoint.endpoint_status, endpoint.failure_reason = state, reason


def test_a_real_time_endpoint_is_made_of_an_archive(archive: Path, aws: Aws) -> None:
    lines: list[str] = []
    report = deploy(deployment(archive, environment={"A": "1"}), aws, on_step=lines.append)
    (stored,) = boto3.client("s3", region_name=REGION).list_objects_v2(Bucket="bread")["Contents"]
    address = f"s3://bread/{stored['Key']}"
    assert stored["Key"].startswith("crossrank/bakery/model-")
    assert stored["Size"] == archive.stat().st_size
    assert report["status"] == "InService"
    assert report["region"] == REGION
    assert report["variants"] == [
        {
            "model": "bakery",
            "image": IMAGE,
            "archive": address,
            "instance_type": "ml.m5.large",
            "instance_count": 1,
            "serverless": None,
        }
    ]
    container = sagemaker().describe_model(ModelName="bakery")["PrimaryContainer"]
    assert container["Environment"] == {"SAGEMAKER_MODEL_SERVER_WORKERS": "1", "A": "1"}
    assert lines == [
        f"uploading {archive}, 0.0 MB",
        f"made archive {address}",
        "made model bakery",
        "made endpoint configuration bakery",
        "made endpoint bakery",
    ]


def test_a_serverless_endpoint_of_an_archive_that_is_in_s3(aws: Aws) -> None:
    made = deployment("s3://bread/model.tar.gz", bucket=None, serverless_memory=4096)
    (variant,) = deploy(made, aws)["variants"]
    assert variant["serverless"] == {"MemorySizeInMB": 4096, "MaxConcurrency": 5}
    assert variant["instance_type"] is None
    assert variant["archive"] == "s3://bread/model.tar.gz"


def test_it_waits_and_tells_until_the_endpoint_is_in_service(archive: Path, aws: Aws) -> None:
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        if line == "made endpoint bakery":
            becomes("Creating")
        elif len(lines) == 8:
            becomes("InService")

    assert deploy(deployment(archive), aws, every=0.0, on_step=tell)["status"] == "InService"
    assert lines[5:] == ["endpoint bakery is Creating, 0 s"] * 3


def test_an_endpoint_that_fails_says_why_what_was_made_and_how_to_remove_it(archive: Path, aws: Aws) -> None:
    def tell(line: str) -> None:
        if line == "made endpoint bakery":
            becomes("Failed", "The primary container did not pass the ping health check.")

    made = deployment(archive)
    with pytest.raises(DeploymentError, match="is Failed: The primary container did not pass") as caught:
        deploy(made, aws, on_step=tell)
    message = str(caught.value)
    assert caught.value.made == (
        f"archive {made.model_data}",
        "model bakery",
        "endpoint configuration bakery",
        "endpoint bakery",
    )
    assert "/aws/sagemaker/Endpoints/bakery" in message
    assert f"`crossrank sagemaker delete bakery --region {REGION}`" in message
    assert f"`aws s3 rm {made.model_data}`" in message


def test_an_endpoint_that_takes_too_long_is_said_to_be_still_there(archive: Path, aws: Aws) -> None:
    def tell(line: str) -> None:
        if line == "made endpoint bakery":
            becomes("Creating")

    with pytest.raises(DeploymentError, match=r"still Creating after 0 s.*endpoint bakery.*To remove it"):
        deploy(deployment(archive), aws, every=0.1, limit=0.05, on_step=tell)


def test_a_step_that_fails_names_what_the_steps_before_made(archive: Path, aws: Aws) -> None:
    with pytest.raises(
        DeploymentError,
        match=r"endpoint configuration bakery \(eu-west-1\) refused the request: Value 'ml\.oven\.large'",
    ) as caught:
        deploy(deployment(archive, instance_type="ml.oven.large"), aws)
    assert [part.split()[0] for part in caught.value.made] == ["archive", "model"]
    deletion = plan_deletion("bakery", aws)
    assert deletion.deletes == ["model bakery"], "the command that the message names finds what was made"
    assert len(deletion.remains) == 1


def test_an_interrupt_says_what_was_made(archive: Path, aws: Aws) -> None:
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        if line == "made model bakery":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deploy(deployment(archive), aws, on_step=tell)
    assert "Made so far" in lines[-1]
    assert "model bakery" in lines[-1]


def test_a_bucket_that_is_not_there_leaves_nothing_made(archive: Path, aws: Aws) -> None:
    with pytest.raises(
        EndpointError, match=r"archive s3://flour/.* failed with NoSuchBucket \(404\)"
    ) as caught:
        deploy(deployment(archive, bucket="flour"), aws)
    assert not isinstance(caught.value, DeploymentError)
    with pytest.raises(EndpointNotFoundError):
        plan_deletion("bakery", aws)


def test_what_is_there_already_is_not_replaced(archive: Path, aws: Aws) -> None:
    deploy(deployment(archive), aws)
    with pytest.raises(InputError, match="there is an endpoint named bakery in eu-west-1 already"):
        deploy(deployment(archive), aws)


def test_a_deletion_removes_endpoint_configuration_and_model_and_says_what_remains(
    archive: Path, aws: Aws
) -> None:
    made = deployment(archive)
    deploy(made, aws)
    deletion = plan_deletion("bakery", aws)
    assert deletion.deletes == ["endpoint bakery", "endpoint configuration bakery", "model bakery"]
    assert deletion.remains == (made.model_data,)
    lines: list[str] = []
    delete(deletion, aws, on_step=lines.append)
    assert lines == [f"deleted {part}" for part in deletion.deletes]
    assert [aws.describe(kind, "bakery") for kind in ("endpoint", "endpoint_config", "model")] == [None] * 3
    with pytest.raises(EndpointNotFoundError, match="nothing named bakery"):
        plan_deletion("bakery", aws)


def test_a_deletion_follows_the_endpoint_to_other_names(aws: Aws) -> None:
    client = sagemaker()
    client.create_model(ModelName="rye", ExecutionRoleArn=ROLE, Containers=[{"Image": IMAGE}])
    client.create_model(ModelName="bakery", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE})
    variant = {
        "VariantName": "v",
        "ModelName": "rye",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    client.create_endpoint_config(EndpointConfigName="oven", ProductionVariants=[variant])
    client.create_endpoint(EndpointName="bakery", EndpointConfigName="oven")
    deletion = plan_deletion("bakery", aws)
    assert deletion.deletes == ["endpoint bakery", "endpoint configuration oven", "model rye"]
    assert status("bakery", aws)["variants"][0]["image"] == IMAGE


def test_a_deletion_that_fails_says_what_is_left(archive: Path, aws: Aws) -> None:
    deploy(deployment(archive), aws)
    deletion = plan_deletion("bakery", aws)
    sagemaker().delete_endpoint_config(EndpointConfigName="bakery")
    with pytest.raises(DeploymentError, match="Left: endpoint configuration bakery, model bakery") as caught:
        delete(deletion, aws)
    assert caught.value.made == ("endpoint configuration bakery", "model bakery")


def test_an_endpoint_that_is_still_being_made_says_when_it_can_be_deleted(archive: Path, aws: Aws) -> None:
    deploy(deployment(archive), aws)
    deletion = plan_deletion("bakery", aws)
    refuse_to_delete(aws, "no")
    with pytest.raises(DeploymentError, match=r"refused the request: no\. Left: endpoint bakery"):
        delete(deletion, aws)
    becomes("Creating")
    with pytest.raises(DeploymentError, match="can be deleted once it is InService or Failed"):
        delete(deletion, aws)


def refuse_to_delete(aws: Aws, message: str) -> None:
    """Have AWS refuse as it does while an endpoint is being made; moto deletes it in any state."""
    answer = {"Error": {"Code": "ValidationException", "Message": message}}

    def refuse(**_: Any) -> None:
        raise ClientError(answer, "DeleteEndpoint")  # type: ignore[arg-type]

    events = aws._connections["sagemaker"].client.meta.events
    events.register("before-call.sagemaker.DeleteEndpoint", refuse)


def test_the_status_of_an_endpoint_that_is_not_there_is_an_error(aws: Aws) -> None:
    with pytest.raises(EndpointNotFoundError, match="no endpoint bakery in eu-west-1"):
        status("bakery", aws)


def test_missing_credentials_are_said(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_credentials(monkeypatch)
    with pytest.raises(CredentialsError, match=r"no usable AWS credentials"):
        deploy(deployment(archive), Aws(REGION))


def test_the_requests_are_known_before_anything_is_sent(archive: Path) -> None:
    first, model, config, endpoint = deployment(archive, instance_count=2).requests
    assert first.to_dict()["operation"] == "upload_file"
    assert first.parameters["Filename"] == str(archive)
    assert model.parameters["PrimaryContainer"]["ModelDataUrl"] == f"s3://bread/{first.parameters['Key']}"
    (variant,) = config.parameters["ProductionVariants"]
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.m5.large", 2)
    assert endpoint.parameters == {"EndpointName": "bakery", "EndpointConfigName": "bakery"}


def test_another_archive_gets_another_address(archive: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.tar.gz"
    with tarfile.open(other, "w:gz") as packed:
        packed.addfile(tarfile.TarInfo("other.json"), io.BytesIO())
    assert deployment(archive).model_data != deployment(other).model_data


def test_what_is_billed_is_said(archive: Path) -> None:
    assert "until the endpoint is deleted, used or not: 2 x ml.m5.large" in (
        deployment(archive, instance_count=2).billing
    )
    assert "nothing while idle" in deployment(archive, serverless_memory=2048).billing


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bucket": None}, "name a bucket"),
        ({"instance_type": "c6i.xlarge"}, "instance type must be"),
        ({"instance_count": 0}, "instance count must be at least 1"),
        ({"serverless_memory": 1000}, "one of 1024, 2048"),
        ({"serverless_concurrency": 201}, "1 to 200"),
    ],
)
def test_what_cannot_be_deployed_is_refused(options: dict[str, Any], message: str, archive: Path) -> None:
    with pytest.raises(InputError, match=message):
        deployment(archive, **options)


@pytest.mark.parametrize("name", ["", "-bakery", "my_bakery", "b" * 64])
def test_a_name_that_sagemaker_does_not_take_is_refused(name: str, archive: Path) -> None:
    with pytest.raises(InputError, match="letters, digits and hyphens"):
        Deployment(name, archive, IMAGE, ROLE, bucket="bread")


def test_a_role_or_an_archive_that_is_none_is_refused(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the role must be an ARN"):
        Deployment("bakery", archive, IMAGE, "sagemaker", bucket="bread")
    with pytest.raises(InputError, match=r"there is no archive .*missing\.tar\.gz"):
        deployment(tmp_path / "missing.tar.gz")
    text = tmp_path / "text.tar.gz"
    text.write_text("no archive")
    with pytest.raises(InputError, match=r"is no \.tar\.gz archive"):
        deployment(text)
