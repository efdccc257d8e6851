"""Secrets in AWS: Systems Manager parameters and Secrets Manager. boto3 is loaded with the first one."""

import json

from agent.aws.session import Clients, Identity, Service, Sessions
from agent.config import Secret
from agent.errors import EnvironmentFault


class ParameterSource:
    """`ssm`: the name of a parameter, decrypted."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def get(self, name: str, secret: Secret) -> bytes:
        found = _service(self._sessions, "ssm", name, secret)("get_parameter", Name=secret.ssm, WithDecryption=True)
        value: str = found["Parameter"]["Value"]
        return value.encode()


class ManagerSource:
    """`secretsmanager`: the id of a secret, `:key` behind it for one key of a JSON secret."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def get(self, name: str, secret: Secret) -> bytes:
        identifier, key = _parted(secret.secretsmanager)
        found = _service(self._sessions, "secretsmanager", name, secret)("get_secret_value", SecretId=identifier)
        value: bytes = found["SecretString"].encode() if "SecretString" in found else found["SecretBinary"]
        return _of_key(name, value, key) if key else value


def _service(sessions: Sessions, service: str, name: str, secret: Secret) -> Service:
    return Clients(sessions, Identity(secret.role), secret.region)(service, about=f"secret {name}")


def _parted(text: str) -> tuple[str, str]:
    """An ARN holds six colons of its own."""
    if text.startswith("arn:"):
        parts = text.split(":")
        return ":".join(parts[:7]), ":".join(parts[7:])
    identifier, _, key = text.partition(":")
    return identifier, key


def _of_key(name: str, value: bytes, key: str) -> bytes:
    try:
        found = json.loads(value)[key]
    except (ValueError, KeyError, TypeError):
        raise EnvironmentFault(f"secret {name}: it is no JSON object with the key {key}") from None
    return (found if isinstance(found, str) else json.dumps(found)).encode()
