"""SageMaker's and S3's own requests: described before they are sent, and their errors explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crossrank.sagemaker.connection import Connection
from crossrank.sagemaker.faults import EndpointNotFoundError, explained

# botocore's own attempts, for requests that are throttled.
_RETRIES = {"total_max_attempts": 5, "mode": "standard"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request to AWS, which can be shown as well as sent.

    Attributes:
        service: ``sagemaker`` or ``s3``.
        operation: boto3's name of it, such as ``create_model``.
        parameters: Its arguments; the first names what it is about.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any] = field(hash=False)

    @property
    def about(self) -> str:
        """What it makes, deletes or describes, in words."""
        if self.operation == "upload_file":
            return f"archive s3://{self.parameters['Bucket']}/{self.parameters['Key']}"
        kind = self.operation.split("_", 1)[1].replace("_config", " configuration")
        return f"{kind} {next(iter(self.parameters.values()))}"

    def to_dict(self) -> dict[str, Any]:
        """For ``--dry-run``."""
        return {"service": self.service, "operation": self.operation, "parameters": dict(self.parameters)}


class Aws:
    """SageMaker and S3 in one region.

    Args:
        region_name: The region; by default that of the environment or the profile.
        profile_name: The AWS profile; by default boto3 finds credentials as always.
    """

    def __init__(self, region_name: str | None = None, *, profile_name: str | None = None) -> None:
        self._connections = {
            service: Connection(service, region_name=region_name, profile_name=profile_name, retries=_RETRIES)
            for service in ("sagemaker", "s3")
        }

    @property
    def region(self) -> str:
        """The region's name.

        Raises:
            MissingExtraError: boto3 is not installed.
            InputError: No region is named.
        """
        return str(self._connections["sagemaker"].client.meta.region_name)

    def send(self, request: Request) -> Mapping[str, Any]:
        """Send a request and return the answer.

        Raises:
            EndpointError: AWS refused it or could not be reached.
        """
        client = self._connections[request.service].client
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        what = f"{request.about} ({self.region})"
        try:
            return getattr(client, request.operation)(**request.parameters) or {}
        except (BotoCoreError, ClientError) as error:
            raise explained(error, what) from error
        except Boto3Error as error:
            # What upload_file raises hides the error that it comes from.
            cause = error.__context__
            raise explained(cause if isinstance(cause, Exception) else error, what) from error

    def describe(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """What SageMaker knows of an ``endpoint``, ``endpoint_config`` or ``model``; None: there is none.

        Raises:
            EndpointError: AWS refused to say or could not be reached.
        """
        try:
            return self.send(Request("sagemaker", f"describe_{kind}", named(kind, name)))
        except EndpointNotFoundError:
            return None


def named(kind: str, name: str) -> dict[str, str]:
    """The argument that names an ``endpoint``, ``endpoint_config`` or ``model``."""
    return {"".join(word.title() for word in kind.split("_")) + "Name": name}
