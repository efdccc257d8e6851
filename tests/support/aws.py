"""AWS on this machine: moto's real HTTP server, and a door before it that can turn callers away as AWS does under load."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.request import Request, urlopen

REGION = "eu-west-1"
THROTTLED = b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'


@contextmanager
def moto() -> Iterator[str]:
    """The URL of a server with nothing in it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def reset(url: str) -> None:
    """Empty it, and let everybody in."""
    _post(f"{url}/moto-api/reset", b"")
    _post(f"{url}/moto-api/reset-auth", b"inf")


def judge(url: str) -> None:
    """From now on it asks IAM who may do what."""
    _post(f"{url}/moto-api/reset-auth", b"0")


def _post(url: str, body: bytes) -> None:
    with urlopen(Request(url, data=body, headers={"Content-Type": "text/plain"}, method="POST")) as answer:
        answer.read()


class Door(ThreadingHTTPServer):
    """Passes everything on to `behind`, but for the next `busy` requests, which it answers as AWS does under load."""

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Doorkeeper)
        self.behind = behind
        self.busy = 0
        self.asked = 0
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Doorkeeper(BaseHTTPRequestHandler):
    server: Door

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.asked += 1
        if self.server.busy > 0:
            self.server.busy -= 1
            self._answer(400, THROTTLED)
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length")}
        with urlopen(Request(self.server.behind, data=body, headers=headers, method="POST")) as given:
            self._answer(given.status, given.read())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass
