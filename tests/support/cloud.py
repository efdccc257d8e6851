"""AWS on this machine: moto's real HTTP server, for boto3 as the agent uses it. What it lacks is added to its own back-ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
from botocore.loaders import JSONFileLoader

from tests.support.gate import Gate, Server

REGION = "eu-west-1"
ACCOUNT = "123456789012"
_GATES: dict[str, Gate] = {}  # by endpoint

# Each region of EC2 that moto makes has some hundred images, anew after each test; these tests start one.
os.environ["MOTO_AMIS_PATH"] = str(Path(__file__).parents[1] / "cases/images-of-ec2.json")


@cache
def _described(path: str) -> Any:
    return _READER(JSONFileLoader(), path)


_READER = JSONFileLoader.load_file
# Each session of the SDK reads the megabytes that describe a service; they do not change.
JSONFileLoader.load_file = lambda _, path: _described(path)


class Cloud:
    """The server, and clients that look at what it holds."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    @property
    def gate(self) -> Gate:
        """What stands before the server."""
        return _GATES[self.endpoint]

    def client(self, service: str, region: str = REGION, **credentials: str) -> Any:
        return boto3.client(service, region_name=region, endpoint_url=self.endpoint, **credentials)

    @contextmanager
    def judged(self) -> Iterator[None]:
        """Meanwhile it asks IAM who may do what."""
        self._auth(b"0")
        try:
            yield
        finally:
            self._auth(b"inf")

    def _auth(self, after: bytes) -> None:
        url = f"{self.endpoint}/moto-api/reset-auth"
        with urlopen(Request(url, data=after, headers={"Content-Type": "text/plain"}, method="POST")):
            pass

    def role(self, name: str, account: str = ACCOUNT) -> str:
        return f"arn:aws:iam::{account}:role/{name}"

    def as_account(self, service: str, account: str, region: str = REGION) -> Any:
        """A client that sees what another account holds."""
        given = self.client("sts").assume_role(RoleArn=self.role("look", account), RoleSessionName="look")["Credentials"]
        return self.client(
            service,
            region,
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        )


def serve() -> Iterator[str]:
    """moto's server on a free port; its endpoint."""
    server = Server(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    _GATES[endpoint] = server.gate
    yield endpoint
    server.stop()


def environment(endpoint: str) -> dict[str, str]:
    """What an agent has that takes the server for AWS."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "agent",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }


def emptied(endpoint: str) -> Cloud:
    """The server with nothing in it, and its gate open."""
    _GATES[endpoint].open()
    with urlopen(Request(f"{endpoint}/moto-api/reset", method="POST")):
        return Cloud(endpoint)
