"""The version of an engine, asked without its SDK."""

import socket
from threading import Thread

import pytest

from agent.admin.engine import version


def answering(path, body: bytes) -> str:
    """A socket that answers one request with this body; as DOCKER_HOST names it."""
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(path))
    door.listen()

    def serve() -> None:
        with door, door.accept()[0] as caller:
            caller.recv(65536)
            caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    Thread(target=serve).start()
    return f"unix://{path}"


def test_an_engine_tells_its_version(tmp_path):
    assert version(answering(tmp_path / "socket", b'{"Version": "27.1"}')) == "27.1"


@pytest.mark.parametrize("body", [b"{}", b"<html>"])
def test_what_is_no_engine_is_told(tmp_path, body):
    with pytest.raises(OSError, match="no Docker engine"):
        version(answering(tmp_path / "socket", body))


def test_nobody_is_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        version(f"unix://{tmp_path}/socket")
