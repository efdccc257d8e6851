"""The one place that makes clients of AWS: by identity (an assumed role) and region, kept while the worker lives. Home of boto3.

The endpoint, the region and the agent's own credentials come from the environment and the usual files, as for every program that
uses boto3. Those of an assumed role are renewed before they expire.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

from agent.errors import EnvironmentFault, Unavailable

NAME = "git-pipeline"  # of the sessions with an assumed role
KEPT = 64  # clients; the oldest goes first
_BUSY = frozenset(
    {"RequestLimitExceeded", "RequestTimeout", "SlowDown", "PriorRequestNotComplete", "TransactionInProgressException"}
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})


class Identity(NamedTuple):
    """Who to be: a role to assume, with the name of the session and its tags; without a role the agent itself."""

    role: str = ""
    external_id: str = ""
    name: str = NAME
    tags: tuple[tuple[str, str], ...] = ()


class AwsFault(EnvironmentFault):
    """AWS said no; `code` is its word for why."""

    def __init__(self, message: str, code: str = "", *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class AwsBusy(AwsFault, Unavailable):
    """AWS did not answer, or throttles us, and the retries of the SDK did not help."""


class Service:
    """One service of AWS, in one region as one identity. Safe from several threads. Raises AwsFault for whatever goes wrong."""

    def __init__(self, name: str, make: Callable[[], Any], said: Callable[[str], Any]) -> None:
        self._name = name
        self._make = make
        self._said = said

    def __call__(self, operation: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - as the service has them
        """One call, such as `ecs("describe_services", cluster="prod", services=["api"])`; the answer."""
        with self._said(f"{self._name} {operation}"):
            answer: dict[str, Any] = getattr(self._make(), operation)(**parameters)
        return answer

    def pages(self, operation: str, key: str, **parameters: Any) -> Iterator[Any]:  # noqa: ANN401
        """The items under `key` of all pages."""
        with self._said(f"{self._name} {operation}"):
            for page in self._make().get_paginator(operation).paginate(**parameters):
                yield from page.get(key, ())

    def upload(self, file: BinaryIO, bucket: str, key: str, **extra: str) -> None:
        """An open file to S3, in parts if it is large."""
        with self._said(f"{self._name} upload of {key} to {bucket}"):
            self._make().upload_fileobj(file, bucket, key, ExtraArgs=extra)


class Clients:
    """The services of AWS, in one region as one identity."""

    def __init__(self, sessions: "Sessions", identity: Identity, region: str) -> None:
        self._sessions = sessions
        self._identity = identity
        self._region = region

    def __call__(self, service: str) -> Service:
        """A service by the SDK's name of it."""
        return Service(service, lambda: self._sessions.client_of(service, self._identity, self._region), self._sessions.said)

    @property
    def region(self) -> str:
        """The region, also where it is that of the environment. Raises AwsFault if there is none."""
        if self._region:
            return self._region
        with self._sessions.said("the region"):
            region: str = self._sessions.client_of("sts", self._identity, "").meta.region_name
        return region


class Sessions:
    """Clients by service, region and identity. Safe from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._clients: dict[tuple[str, Identity, str], Any] = {}

    def client(self, service: str, *, region: str = "", role: str = "") -> Any:  # noqa: ANN401 - boto3 makes clients at run time
        """A client; `role` is the ARN to assume, empty for the agent's own identity."""
        return self.client_of(service, Identity(role=role), region)

    def client_of(self, service: str, identity: Identity, region: str) -> Any:  # noqa: ANN401
        """A client for an identity; it renews its credentials by itself."""
        key = (service, identity, region)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._session(region, identity).client(service, config=_config())
                while len(self._clients) > KEPT:
                    del self._clients[next(iter(self._clients))]
            return self._clients[key]

    @contextmanager
    def said(self, what: str) -> Iterator[None]:
        """Turns what AWS and the way to it say into an AwsFault about `what`."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

        try:
            yield
        except ClientError as error:
            raise _told(what, error.response) from error
        except (HTTPClientError, ConnectionError) as error:
            raise AwsBusy(f"{what}: {error}", hint="is AWS reachable from here?") from error
        except (BotoCoreError, Boto3Error) as error:
            raise AwsFault(f"{what}: {error}", hint="check the agent's AWS credentials and region") from error

    def _session(self, region: str, identity: Identity) -> Any:  # noqa: ANN401
        import boto3

        own = boto3.Session(region_name=region or None)
        if not identity.role:
            return own
        from botocore.credentials import DeferredRefreshableCredentials
        from botocore.session import get_session

        assumed = get_session()
        sts = own.client("sts", config=_config())
        # botocore has no public way to give a session credentials that it renews
        assumed._credentials = DeferredRefreshableCredentials(lambda: _assume(sts, identity), "sts-assume-role")  # type: ignore[attr-defined]
        return boto3.Session(botocore_session=assumed, region_name=own.region_name)


def _assume(sts: Any, identity: Identity) -> dict[str, str]:  # noqa: ANN401
    """Credentials as botocore keeps them."""
    more: dict[str, Any] = {"ExternalId": identity.external_id} if identity.external_id else {}
    if identity.tags:
        more["Tags"] = [{"Key": key, "Value": value} for key, value in identity.tags]
    given = sts.assume_role(RoleArn=identity.role, RoleSessionName=identity.name, **more)["Credentials"]
    return {
        "access_key": given["AccessKeyId"],
        "secret_key": given["SecretAccessKey"],
        "token": given["SessionToken"],
        "expiry_time": given["Expiration"].isoformat(),
    }


def _told(what: str, response: Any) -> AwsFault:  # noqa: ANN401
    told, status = response.get("Error", {}), response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code, message = str(told.get("Code", "?")), f"{what}: {told.get('Message') or told.get('Code')}"
    if code in _BUSY or "Thrott" in code or code.startswith("TooManyRequests") or status == 429 or status >= 500:
        return AwsBusy(message, code, hint=f"AWS says {code}")
    if code in _EXPIRED:
        return AwsFault(message, code, hint="the agent's own AWS credentials have expired: renew them")
    return AwsFault(message, code, hint=f"AWS says {code}")


def _config() -> Any:  # noqa: ANN401
    from botocore.config import Config

    return Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60)
