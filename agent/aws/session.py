"""The one place that makes clients of AWS: by identity (an assumed role) and region, kept while the worker lives. Home of boto3.

Whoever asks AWS does so through a Service, so that all renew their credentials and tell what went wrong in the same way.

The endpoint, the region and the agent's own credentials come from the environment and the usual files, as for every program that
uses boto3. Those of an assumed role are renewed before they expire.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, NamedTuple, TypeVar

from agent.errors import EnvironmentFault, Unavailable

NAME = "git-pipeline"  # of the sessions with an assumed role
KEPT = 64  # clients; the oldest goes first
LONGEST = 910  # seconds of one call: a function of Lambda may take 900
_BUSY = frozenset(
    {"RequestLimitExceeded", "RequestTimeout", "SlowDown", "PriorRequestNotComplete", "TransactionInProgressException"}
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_SUSPECT = _EXPIRED | {"400"}  # all that the answer to a HEAD tells of it

Given = TypeVar("Given")


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
    """One service of AWS, in one region as one identity. Safe from several threads. Raises AwsFault for whatever goes wrong.

    Credentials that expire in the middle are got anew, once for a call: a role is assumed again, a file is read again.
    """

    def __init__(self, whose: "Clients", name: str, fixed: Mapping[str, str], *, about: str = "", is_once: bool = False) -> None:
        self._whose = whose
        self._name = name
        self._fixed = fixed
        self._about = about
        self._is_once = is_once

    def __call__(self, operation: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - as the service has them
        """One call, such as `ecs("describe_services", cluster="prod", services=["api"])`; the answer."""
        answer: dict[str, Any] = self._asked(operation, lambda client: getattr(client, operation)(**self._fixed, **parameters))
        return answer

    def whole(self, operation: str, key: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401
        """One call whose answer streams `key`; the answer with all of it, as bytes."""

        def call(client: Any) -> dict[str, Any]:  # noqa: ANN401
            streamed: dict[str, Any] = getattr(client, operation)(**self._fixed, **parameters)
            return {**streamed, key: streamed[key].read()}

        answer: dict[str, Any] = self._asked(operation, call)
        return answer

    def pages(self, operation: str, key: str, **parameters: Any) -> Iterator[Any]:  # noqa: ANN401
        """The items under `key` of all pages, each of which is a call of its own."""
        paginator = self._asked(operation, lambda client: client.get_paginator(operation))
        paginator._method = partial(self, operation)  # botocore has no public way to ask for the next page with another client
        with _said(self._what(operation)):
            for page in paginator.paginate(**parameters):
                yield from page.get(key, ())

    def upload(self, file: BinaryIO, bucket: str, key: str, **extra: str) -> None:
        """An open file to S3, from its beginning, in parts if it is large."""

        def send(client: Any) -> None:  # noqa: ANN401
            with os.fdopen(os.dup(file.fileno()), "rb") as again:  # the SDK closes what it gets
                again.seek(0)
                client.upload_fileobj(again, bucket, key, ExtraArgs=extra)

        self._asked(f"upload of {key} to {bucket}", send)

    def download(self, bucket: str, key: str, path: Path) -> None:
        """An object of S3 as a file."""
        self._asked(f"download of {key} from {bucket}", lambda client: client.download_file(bucket, key, str(path)))

    def copy(self, source: "Service", whence: str, key: str, bucket: str, **extra: str) -> None:
        """An object of S3 to another bucket, which may be in another region than that of its `source`."""

        def send(client: Any, near: Any) -> None:  # noqa: ANN401
            client.copy({"Bucket": whence, "Key": key}, bucket, key, ExtraArgs=extra, SourceClient=near)

        what = f"copy of {key} to {bucket}"
        self._asked(what, lambda client: source._asked(what, lambda near: send(client, near)))

    def _asked(self, what: str, call: Callable[[Any], Given]) -> Given:
        """What a call with a client of the SDK gives; it is made again with another client if credentials have expired."""
        about = self._what(what)
        with _said(about):
            client = self._whose.client(self._name, is_once=self._is_once)
        try:
            with _said(about):
                return call(client)
        except AwsFault as fault:
            if fault.code not in _SUSPECT:
                raise
        self._whose.renew(client)
        with _said(about):
            return call(self._whose.client(self._name, is_once=self._is_once))

    def _what(self, operation: str) -> str:
        return self._about or f"{self._name} {operation}"


class Clients:
    """The services of AWS, in one region as one identity."""

    def __init__(self, sessions: "Sessions", identity: Identity, region: str) -> None:
        self._sessions = sessions
        self._identity = identity
        self._region = region

    def __call__(self, service: str, *, about: str = "", is_once: bool = False, **fixed: str) -> Service:
        """A service by the SDK's name of it, with parameters that all calls have, such as `aws("ecs", cluster="prod")`.

        What goes wrong is told of `about`, if given. With `is_once` a call may take 15 minutes, and the SDK never repeats it.
        """
        return Service(self, service, fixed, about=about, is_once=is_once)

    @property
    def region(self) -> str:
        """The region, also where it is that of the environment. Raises AwsFault if there is none."""
        if self._region:
            return self._region
        with _said("the region"):
            region: str = self._sessions.client("sts", self._identity, "").meta.region_name
        return region

    def client(self, service: str, *, is_once: bool = False) -> Any:  # noqa: ANN401 - boto3 makes clients at run time
        """A client of the SDK: for Service alone."""
        return self._sessions.client(service, self._identity, self._region, is_once=is_once)

    def renew(self, client: Any) -> None:  # noqa: ANN401
        """No longer use the credentials of a client."""
        self._sessions.forget(self._identity, client)


class Sessions:
    """Clients of the SDK by service, region and identity. Safe from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._clients: dict[tuple[str, Identity, str, bool], Any] = {}
        self._opened: dict[tuple[Identity, str], Any] = {}
        self._loader: Any = None  # of the descriptions of services, which cost much to read

    def client(self, service: str, identity: Identity, region: str, *, is_once: bool = False) -> Any:  # noqa: ANN401
        """A client for an identity; it renews its credentials by itself before they expire."""
        key = (service, identity, region, is_once)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._session(identity, region).client(service, config=_config(is_once))
                _trim(self._clients)
                _trim(self._opened)
            return self._clients[key]

    def forget(self, identity: Identity, client: Any) -> None:  # noqa: ANN401
        """No longer use the credentials of an identity's client; nothing happens if they are not used any more."""
        with self._lock:
            if client in self._clients.values():
                self._clients = {key: kept for key, kept in self._clients.items() if key[1] != identity}
                self._opened = {key: kept for key, kept in self._opened.items() if key[0] != identity}

    def _session(self, identity: Identity, region: str) -> Any:  # noqa: ANN401
        """One for all services, so that a role is assumed once."""
        key = (identity, region)
        if key not in self._opened:
            opened, self._loader = _open(identity, region, self._loader)
            self._opened[key] = opened
        return self._opened[key]


@contextmanager
def _said(what: str) -> Iterator[None]:
    """Turns what AWS and the way to it say into an AwsFault about `what`."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        raise _told(what, error.response) from error
    except (HTTPClientError, ConnectionError, ResponseParserError) as error:  # the last is what a broken gateway gives
        raise AwsBusy(f"{what}: {error}", hint="is AWS reachable from here?") from error
    except (BotoCoreError, Boto3Error) as error:
        raise AwsFault(f"{what}: {error}", hint="check the agent's AWS credentials and region") from error


def _trim(kept: dict[Any, Any]) -> None:
    while len(kept) > KEPT:
        del kept[next(iter(kept))]


def _open(identity: Identity, region: str, loader: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """A session, and the loader that it shares with the others."""
    import boto3
    from botocore.credentials import DeferredRefreshableCredentials
    from botocore.session import get_session

    def fresh() -> Any:  # noqa: ANN401
        made = get_session()
        if loader:
            made.register_component("data_loader", loader)
        return made

    base = fresh()
    own = boto3.Session(botocore_session=base, region_name=region or None)
    if not identity.role:
        return own, base.get_component("data_loader")
    sts, assumed = own.client("sts", config=_config()), fresh()
    # botocore has no public way to give a session credentials that it renews
    assumed._credentials = DeferredRefreshableCredentials(lambda: _assume(sts, identity), "sts-assume-role")
    return boto3.Session(botocore_session=assumed, region_name=own.region_name), base.get_component("data_loader")


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


def _config(is_once: bool = False) -> Any:  # noqa: ANN401
    from botocore.config import Config

    if is_once:
        return Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=LONGEST, tcp_keepalive=True)
    return Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60)
