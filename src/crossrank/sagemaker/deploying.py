"""Endpoints: made, waited for, looked at, and deleted, with boto3 alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from crossrank.errors import CrossrankError, InputError
from crossrank.sagemaker.aws import Aws, Request, named
from crossrank.sagemaker.deployment import Deployment, check_name
from crossrank.sagemaker.faults import EndpointError, EndpointNotFoundError

OnStep: TypeAlias = Callable[[str], object]
# Seconds between two looks at an endpoint.
_EVERY = 15.0
_UNDER_WAY = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})


class DeploymentError(EndpointError):
    """A deployment that failed half-way.

    Args:
        message: What went wrong, what there is now, and how to remove it.
        made: What there is now, in words.
    """

    def __init__(self, message: str, made: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.made = tuple(made)


def deploy(
    deployment: Deployment,
    aws: Aws,
    *,
    wait: bool = True,
    every: float = _EVERY,
    limit: float = 3600.0,
    on_step: OnStep = lambda line: None,
) -> dict[str, Any]:
    """Make an endpoint, and wait until it answers.

    Args:
        deployment: What to make.
        aws: Where.
        wait: Wait until the endpoint is in service.
        every: Seconds between two looks at it.
        limit: Seconds to wait at most.
        on_step: Called with a line on each step.

    Returns:
        What :func:`status` gives.

    Raises:
        InputError: There is something of that name already.
        DeploymentError: It failed after something was made; the message names that and how to remove it.
        EndpointError: It failed before.
    """
    for kind in ("endpoint", "endpoint_config", "model"):
        if aws.describe(kind, deployment.name):
            raise InputError(
                f"there is {_a(kind)} named {deployment.name} in {aws.region} already; choose another name, "
                f"or delete it first: `{_delete_command(deployment.name, aws)}`"
            )
    made: list[Request] = []
    try:
        for request in deployment.requests:
            if request.operation == "upload_file":
                size = Path(deployment.archive).stat().st_size / 1e6
                on_step(f"uploading {deployment.archive}, {size:.1f} MB")
            aws.send(request)
            made.append(request)
            on_step(f"made {request.about}")
        if wait:
            _wait_until_in_service(deployment.name, aws, every, limit, on_step)
    except CrossrankError as error:
        if not made:
            raise
        about = [request.about for request in made]
        raise DeploymentError(f"{error}. {_left_over(deployment, made, aws)}", about) from error
    except KeyboardInterrupt:
        if made:
            on_step(_left_over(deployment, made, aws))
        raise
    return status(deployment.name, aws)


def status(name: str, aws: Aws) -> dict[str, Any]:
    """What there is of an endpoint.

    Returns:
        ``name``, ``region``, ``status`` (SageMaker's word), ``failure``, ``created`` and ``variants``, each
        with ``model``, ``image``, ``archive`` and what it runs on.

    Raises:
        EndpointNotFoundError: There is none of that name.
        EndpointError: AWS refused to say or could not be reached.
    """
    check_name(name)
    endpoint = aws.describe("endpoint", name)
    if endpoint is None:
        raise EndpointNotFoundError(f"there is no endpoint {name} in {aws.region}; check name and region")
    config = aws.describe("endpoint_config", endpoint["EndpointConfigName"]) or {}
    created = endpoint.get("CreationTime")
    return {
        "name": name,
        "region": aws.region,
        "status": endpoint["EndpointStatus"],
        "failure": endpoint.get("FailureReason"),
        "created": created.isoformat() if created else None,
        "variants": [_variant(variant, aws) for variant in config.get("ProductionVariants", ())],
    }


@dataclass(frozen=True)
class Deletion:
    """What would be deleted.

    Attributes:
        name: The endpoint's name.
        requests: What deletes it all, in order.
        remains: The archives in S3, which are not deleted.
    """

    name: str
    requests: tuple[Request, ...]
    remains: tuple[str, ...]

    @property
    def deletes(self) -> list[str]:
        """What goes, in words."""
        return [request.about for request in self.requests]


def plan_deletion(name: str, aws: Aws) -> Deletion:
    """Find what belongs to an endpoint: its configuration and models, also where only these were made.

    Raises:
        EndpointNotFoundError: There is nothing of that name.
    """
    check_name(name)
    endpoint = aws.describe("endpoint", name)
    config_name = endpoint["EndpointConfigName"] if endpoint else name
    config = aws.describe("endpoint_config", config_name)
    variants = config["ProductionVariants"] if config else [{"ModelName": name}]
    models = {
        model: found
        for model in dict.fromkeys(variant.get("ModelName") for variant in variants)
        if model and (found := aws.describe("model", model))
    }
    parts = [("endpoint", name)] if endpoint else []
    parts += [("endpoint_config", config_name)] if config else []
    parts += [("model", model) for model in models]
    if not parts:
        raise EndpointNotFoundError(f"there is nothing named {name} in {aws.region}; check name and region")
    archives = (_container(model).get("ModelDataUrl") for model in models.values())
    return Deletion(
        name,
        tuple(Request("sagemaker", f"delete_{kind}", named(kind, part)) for kind, part in parts),
        tuple(archive for archive in archives if archive),
    )


def delete(
    deletion: Deletion,
    aws: Aws,
    *,
    every: float = _EVERY,
    limit: float = 900.0,
    on_step: OnStep = lambda line: None,
) -> None:
    """Delete what :func:`plan_deletion` found.

    Args:
        deletion: What to delete.
        aws: Where.
        every: Seconds between two looks at whether the endpoint is gone.
        limit: Seconds to wait for that at most.
        on_step: Called with a line on each step.

    Raises:
        DeploymentError: Not all could be deleted; the message says what is left.
    """
    left = deletion.deletes
    try:
        for request in deletion.requests:
            aws.send(request)
            if request.operation == "delete_endpoint":
                # A configuration has to stay for as long as its endpoint is being deleted.
                _wait_until(lambda found: found is None, deletion.name, aws, every, limit, on_step)
            on_step(f"deleted {left.pop(0)}")
    except CrossrankError as error:
        hint = ""
        with suppress(EndpointError):  # AWS may not be there to ask; the error above says so
            if _is_under_way(aws.describe("endpoint", deletion.name)):
                hint = " An endpoint can be deleted once it is InService or Failed."
        raise DeploymentError(
            f"{error}.{hint} Left: {', '.join(left)}. Try again: `{_delete_command(deletion.name, aws)}`",
            left,
        ) from error


def _wait_until_in_service(name: str, aws: Aws, every: float, limit: float, on_step: OnStep) -> None:
    endpoint = _wait_until(lambda found: not _is_under_way(found), name, aws, every, limit, on_step)
    if endpoint is None:
        raise EndpointError(f"endpoint {name} was deleted while it was being created")
    if endpoint["EndpointStatus"] != "InService":
        reason = str(endpoint.get("FailureReason") or "SageMaker gives no reason").rstrip(".")
        raise EndpointError(
            f"endpoint {name} is {endpoint['EndpointStatus']}: {reason} (the container's log is in "
            f"CloudWatch under /aws/sagemaker/Endpoints/{name})"
        )


def _wait_until(
    done: Callable[[Mapping[str, Any] | None], bool],
    name: str,
    aws: Aws,
    every: float,
    limit: float,
    on_step: OnStep,
) -> Mapping[str, Any] | None:
    started = time.monotonic()
    while True:
        endpoint = aws.describe("endpoint", name)
        waited = time.monotonic() - started
        if done(endpoint):
            return endpoint
        state = endpoint["EndpointStatus"] if endpoint else "gone"
        if waited + every > limit:
            raise EndpointError(f"endpoint {name} is still {state} after {waited:.0f} s")
        on_step(f"endpoint {name} is {state}, {waited:.0f} s")
        time.sleep(every)


def _is_under_way(endpoint: Mapping[str, Any] | None) -> bool:
    return endpoint is not None and endpoint["EndpointStatus"] in _UNDER_WAY


def _left_over(deployment: Deployment, made: Sequence[Request], aws: Aws) -> str:
    services = {request.service for request in made}
    removal = []
    if "sagemaker" in services:
        removal.append(f"`{_delete_command(deployment.name, aws)}`")
    if "s3" in services:
        removal.append(f"`aws s3 rm {deployment.model_data}`")
    there, commands = ", ".join(request.about for request in made), " and ".join(removal)
    return f"Made so far, and billed where AWS bills it: {there}. To remove it: {commands}"


def _delete_command(name: str, aws: Aws) -> str:
    return f"crossrank sagemaker delete {name} --region {aws.region}"


def _variant(variant: Mapping[str, Any], aws: Aws) -> dict[str, Any]:
    container = _container(aws.describe("model", variant["ModelName"]) or {})
    return {
        "model": variant["ModelName"],
        "image": container.get("Image"),
        "archive": container.get("ModelDataUrl"),
        "instance_type": variant.get("InstanceType"),
        "instance_count": variant.get("InitialInstanceCount"),
        "serverless": variant.get("ServerlessConfig"),
    }


def _container(model: Mapping[str, Any]) -> Mapping[str, Any]:
    first: Mapping[str, Any] = model.get("PrimaryContainer") or next(iter(model.get("Containers") or ()), {})
    return first


def _a(kind: str) -> str:
    return {"endpoint": "an endpoint", "endpoint_config": "an endpoint configuration"}.get(kind, f"a {kind}")
