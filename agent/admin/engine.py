"""Asks a Docker engine for its version over its socket, without the SDK: for the doctor, and in milliseconds."""

import http.client
import json
import socket
from urllib.parse import urlsplit

USUAL = "unix:///var/run/docker.sock"
TIMEOUT = 5.0  # seconds


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket or TCP, as DOCKER_HOST names it."""

    def __init__(self, host: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._place = urlsplit(host)

    def connect(self) -> None:
        if self._place.scheme == "unix":
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(TIMEOUT)
            self.sock.connect(self._place.path)
        else:
            self.sock = socket.create_connection((self._place.hostname or "", self._place.port or 2375), TIMEOUT)


def version(host: str) -> str:
    """The engine's version. Raises OSError if it does not answer, or answers nonsense."""
    connection = _Connection(host)
    try:
        connection.request("GET", "/version")
        return str(json.loads(connection.getresponse().read())["Version"])
    except (http.client.HTTPException, ValueError, KeyError) as error:
        raise OSError(f"it is no Docker engine ({error})") from error
    finally:
        connection.close()
