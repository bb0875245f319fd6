"""What a deployment is made of: the requests that make it, and what is paid for."""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from crossrank.errors import InputError, MissingFileError
from crossrank.sagemaker.aws import Request

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+")
_MEMORY = range(1024, 6144 + 1, 1024)
_MOST_SERVERLESS_AT_ONCE = 200
# Amazon's model server starts a worker a processor, each with a model; one of crossrank uses all processors.
_ENVIRONMENT = {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}


@dataclass(frozen=True)
class Deployment:
    """A model on an endpoint: the archive in S3, a model, an endpoint configuration and an endpoint.

    All of them get one name.

    Args:
        name: Letters, digits and hyphens, at most 63.
        archive: What ``crossrank sagemaker package`` wrote, or its address in S3 (``s3://...``).
        image: The container image's address in Amazon ECR.
        role: The role that SageMaker takes to read the archive and the image, as an ARN.
        bucket: The S3 bucket to upload the archive to; needed unless it is there already.
        prefix: Folder in the bucket.
        instance_type: What a real-time endpoint runs on.
        instance_count: How many of them.
        serverless_memory: Memory in MB of a serverless endpoint instead, 1024 to 6144 in steps of 1024.
        serverless_concurrency: The most requests that a serverless endpoint answers at a time.
        environment: Variables for the container; SAGEMAKER_MODEL_SERVER_WORKERS is 1 unless given.

    Raises:
        InputError: One of these cannot be used.

    Example:
        >>> deployment = Deployment(
        ...     "reranker", "s3://bucket/model.tar.gz", "1.dkr.ecr.eu-west-1.amazonaws.com/crossrank:1",
        ...     "arn:aws:iam::123456789012:role/sagemaker", serverless_memory=4096,
        ... )
        >>> [request.operation for request in deployment.requests]
        ['create_model', 'create_endpoint_config', 'create_endpoint']
    """

    name: str
    archive: str | Path
    image: str
    role: str
    bucket: str | None = None
    prefix: str = "crossrank"
    instance_type: str = "ml.c6i.xlarge"
    instance_count: int = 1
    serverless_memory: int | None = None
    serverless_concurrency: int = 5
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        if not _ROLE.fullmatch(self.role):
            raise InputError(
                "the role must be an ARN such as arn:aws:iam::123456789012:role/sagemaker; "
                f"it is {self.role!r}"
            )
        if not self.image:
            raise InputError("the image must be the address of a container image in Amazon ECR; it is empty")
        if not self.instance_type.startswith("ml."):
            raise InputError(
                f"the instance type must be one of SageMaker's, such as ml.c6i.xlarge; it is "
                f"{self.instance_type!r}"
            )
        if self.instance_count < 1:
            raise InputError(f"the instance count must be at least 1; it is {self.instance_count}")
        if self.serverless_memory is not None and self.serverless_memory not in _MEMORY:
            raise InputError(
                f"serverless memory must be one of {', '.join(map(str, _MEMORY))} MB; it is "
                f"{self.serverless_memory}"
            )
        if not 1 <= self.serverless_concurrency <= _MOST_SERVERLESS_AT_ONCE:
            raise InputError(
                f"serverless concurrency must be 1 to {_MOST_SERVERLESS_AT_ONCE}; it is "
                f"{self.serverless_concurrency}"
            )
        if not self._in_s3:
            _check_archive(Path(self.archive))
            if not self.bucket:
                raise InputError(f"name a bucket of S3 to upload {self.archive} to (--bucket)")

    @property
    def _in_s3(self) -> bool:
        return str(self.archive).startswith("s3://")

    @cached_property
    def model_data(self) -> str:
        """The archive's address in S3. A digest is part of it, so that no other archive is overwritten."""
        return str(self.archive) if self._in_s3 else f"s3://{self.bucket}/{self._key}"

    @cached_property
    def _key(self) -> str:
        with Path(self.archive).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return "/".join([*filter(None, [self.prefix.strip("/")]), self.name, f"model-{digest[:16]}.tar.gz"])

    @property
    def requests(self) -> list[Request]:
        """What makes it, in order."""
        variant: dict[str, object] = {"VariantName": "main", "ModelName": self.name}
        if self.serverless_memory is None:
            variant |= {"InstanceType": self.instance_type, "InitialInstanceCount": self.instance_count}
        else:
            variant["ServerlessConfig"] = {
                "MemorySizeInMB": self.serverless_memory,
                "MaxConcurrency": self.serverless_concurrency,
            }
        container = {
            "Image": self.image,
            "ModelDataUrl": self.model_data,
            "Environment": _ENVIRONMENT | dict(self.environment),
        }
        upload = Request(
            "s3",
            "upload_file",
            {"Filename": str(self.archive), "Bucket": self.bucket, "Key": "" if self._in_s3 else self._key},
        )
        return [
            *([] if self._in_s3 else [upload]),
            Request(
                "sagemaker",
                "create_model",
                {"ModelName": self.name, "PrimaryContainer": container, "ExecutionRoleArn": self.role},
            ),
            Request(
                "sagemaker",
                "create_endpoint_config",
                {"EndpointConfigName": self.name, "ProductionVariants": [variant]},
            ),
            Request(
                "sagemaker",
                "create_endpoint",
                {"EndpointName": self.name, "EndpointConfigName": self.name},
            ),
        ]

    @property
    def billing(self) -> str:
        """What AWS charges for until it is deleted."""
        if self.serverless_memory is None:
            number = f"{self.instance_count} x " if self.instance_count > 1 else ""
            running = (
                f"until the endpoint is deleted, used or not: {number}{self.instance_type} by the second"
            )
        else:
            running = (
                f"for use: {self.serverless_memory} MB by the millisecond of each request, and data in and "
                "out; nothing while idle"
            )
        return f"Billed {running}; and the archive's storage in S3 until that is removed."


def check_name(name: str) -> None:
    """Refuse what cannot name an endpoint.

    Raises:
        InputError: It cannot.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"an endpoint's name has 1 to 63 letters, digits and hyphens, none at its ends; it is {name!r}"
        )


def _check_archive(archive: Path) -> None:
    if not archive.is_file():
        raise MissingFileError(f"there is no archive {archive}; `crossrank sagemaker package` writes one")
    if not archive.name.endswith(".tar.gz") or not tarfile.is_tarfile(archive):
        raise InputError(f"{archive} is no .tar.gz archive; `crossrank sagemaker package` writes one")
