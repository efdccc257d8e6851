"""The one place that makes clients of AWS: by account (an assumed role) and region, kept while the worker lives. Home of boto3.

The endpoint, the region and the credentials come from the environment and the usual files, as for every program that uses boto3.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from agent.errors import EnvironmentFault

NAME = "git-pipeline"  # of the sessions with an assumed role


class Sessions:
    """Clients by service, region and role. Safe from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._clients: dict[tuple[str, str, str], Any] = {}

    def client(self, service: str, *, region: str = "", role: str = "") -> Any:  # noqa: ANN401 - boto3 makes clients at run time
        """A client; `role` is the ARN to assume, empty for the agent's own identity."""
        key = (service, region, role)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._session(region, role).client(service, config=_config())
            return self._clients[key]

    @contextmanager
    def said(self, what: str) -> Iterator[None]:
        """Turns what AWS and the way to it say into an EnvironmentFault about `what`."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            told = error.response.get("Error", {})
            raise EnvironmentFault(f"{what}: {told.get('Message', error)}", hint=f"AWS says {told.get('Code', '?')}") from error
        except BotoCoreError as error:
            raise EnvironmentFault(f"{what}: {error}", hint="check the agent's AWS credentials and region") from error

    def _session(self, region: str, role: str) -> Any:  # noqa: ANN401
        import boto3

        if not role:
            return boto3.Session(region_name=region or None)
        sts = boto3.Session(region_name=region or None).client("sts", config=_config())
        given = sts.assume_role(RoleArn=role, RoleSessionName=NAME)["Credentials"]
        return boto3.Session(
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
            region_name=region or None,
        )


def _config() -> Any:  # noqa: ANN401
    from botocore.config import Config

    return Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60)
