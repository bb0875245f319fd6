"""boto3 clients that threads, forked and spawned processes can share."""

from __future__ import annotations

import os
from typing import Any

from crossrank.errors import InputError, MissingExtraError
from crossrank.sagemaker.faults import CredentialsError


class Connection:
    """A boto3 client, created on first use, and again in each forked process.

    Credentials are found as boto3 finds them (environment, profile, role) and are never kept here.

    Args:
        service: ``sagemaker-runtime``, ``sagemaker`` or ``s3``.
        region_name: The AWS region; by default that of the environment or the profile.
        profile_name: A profile of ~/.aws/credentials or ~/.aws/config.
        endpoint_url: Another address than AWS's own, such as that of a local server.
        client: A boto3 client to use instead of making one.
        **config: What botocore's ``Config`` takes.
    """

    def __init__(
        self,
        service: str,
        *,
        region_name: str | None = None,
        profile_name: str | None = None,
        endpoint_url: str | None = None,
        client: Any = None,
        **config: Any,
    ) -> None:
        self.service = service
        self.region_name = region_name or None
        self._profile_name = profile_name or None
        self._endpoint_url = endpoint_url or None
        self._given = client
        self._config = config
        self._made: tuple[int, Any] | None = (os.getpid(), client) if client is not None else None

    @property
    def client(self) -> Any:
        """The client of this process.

        Raises:
            MissingExtraError: boto3 is not installed.
            CredentialsError: There is no such profile.
            InputError: No region is named, or ``endpoint_url`` is no address.
        """
        made = self._made
        if made is None or made[0] != os.getpid():
            # Concurrent threads may each create one, and the last is kept. That is better than a lock, which
            # would stay locked forever in a process that is forked at the wrong moment.
            made = self._made = (os.getpid(), self._make())
        return made[1]

    def _make(self) -> Any:
        if self._given is not None:
            # The sockets of a client that came over in a fork are the parent's too: two answers would mix.
            self._given.close()
            return self._given
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, NoRegionError, ProfileNotFound
        except ModuleNotFoundError as error:
            raise MissingExtraError("Talking to Amazon SageMaker", "sagemaker") from error
        try:
            # A session of its own, since boto3's default session is not safe to share between threads.
            session = boto3.Session(profile_name=self._profile_name, region_name=self.region_name)
            return session.client(
                self.service, endpoint_url=self._endpoint_url, config=Config(**self._config)
            )
        except ProfileNotFound as error:
            raise CredentialsError(
                f"there is no AWS profile {self._profile_name!r} in ~/.aws/config or ~/.aws/credentials; "
                "`aws configure list-profiles` lists those that there are"
            ) from error
        except NoRegionError as error:
            raise InputError(
                "no AWS region is named; give region_name (--region), or set AWS_DEFAULT_REGION or the "
                "profile's region"
            ) from error
        except (BotoCoreError, ValueError) as error:
            raise InputError(
                f"no client can be made for region {self.region_name!r} and address {self._endpoint_url!r}: "
                f"{error}"
            ) from error

    def __reduce__(self) -> tuple[Any, ...]:
        return _connection, (
            self.service,
            self.region_name,
            self._profile_name,
            self._endpoint_url,
            self._given,
            self._config,
        )


def _connection(
    service: str,
    region: str | None,
    profile: str | None,
    url: str | None,
    client: Any,
    config: dict[str, Any],
) -> Connection:
    return Connection(
        service, region_name=region, profile_name=profile, endpoint_url=url, client=client, **config
    )
