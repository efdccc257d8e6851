"""What AWS says beside what moto does: that it is asked too often, that credentials are over. It stands in moto's own server."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server


class Asked(NamedTuple):
    """A request that came: of which service, for what, with which key; `form` is that of the services that take forms."""

    service: str
    operation: str
    key: str
    form: dict[str, str]


class Gate:
    """Lets every request through to `behind`, until it is told otherwise."""

    def __init__(self, behind: Callable[..., Iterable[bytes]]) -> None:
        self._behind = behind
        self.open()

    def open(self) -> None:
        """For everybody, and forget who was there."""
        self.busy = 0  # how many of the first requests for each operation are turned away
        self.asked: list[Asked] = []
        self._good_for: int | None = None
        self._counts: Counter[tuple[str, str]] = Counter()

    def expire(self, good_for: int) -> None:
        """The next key that comes is good for so many requests; then it has expired."""
        self.asked.clear()
        self._good_for = good_for

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/moto-api"):
            return self._behind(environ, start_response)
        asked = _asked(environ)
        wrong = self._wrong(asked)
        if not wrong:
            return self._behind(environ, start_response)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, headers, body = _told(asked.service, environ, wrong)
        body = b"" if environ["REQUEST_METHOD"] == "HEAD" else body
        start_response(status, [*headers.items(), ("Content-Length", str(len(body)))])
        return [body]

    def _wrong(self, asked: Asked) -> str:
        self.asked.append(asked)
        keys = [each.key for each in self.asked if each.service != "sts"]
        if self._good_for is not None and keys and asked.key == keys[0] and keys.count(asked.key) > self._good_for:
            return "ExpiredToken" if asked.service != "sts" else ""
        self._counts[asked.service, asked.operation] += 1
        return "Throttling" if self._counts[asked.service, asked.operation] <= self.busy else ""


class Server(ThreadedMotoServer):
    """moto's, with a gate."""

    gate: Gate

    def _server_entry(self) -> None:
        self.gate = Gate(DomainDispatcherApplication(create_backend_app))
        self._server = make_server(self._ip_address, self._port, self.gate, True, request_handler=MotoRequestHandler)
        self._server_ready_event.set()
        self._server.serve_forever()


def _asked(environ: dict[str, Any]) -> Asked:
    key, _, _, service = (environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2] + "////").split("/")[:4]
    form: dict[str, str] = {}
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    path = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
    return Asked(service, target or form.get("Action", path), key, form)


def _told(service: str, environ: dict[str, Any], code: str) -> tuple[str, dict[str, str], bytes]:
    """An error, in the words and the form of a service."""
    message = {"Throttling": "Rate exceeded", "ExpiredToken": "The security token included in the request is expired"}[code]
    if service == "s3":
        word, status = ("SlowDown", "503 Slow Down") if code == "Throttling" else (code, "400 Bad Request")
        return (
            status,
            {"Content-Type": "application/xml"},
            f"<Error><Code>{word}</Code><Message>{message}</Message></Error>".encode(),
        )
    if service == "ec2":
        word = "RequestLimitExceeded" if code == "Throttling" else "RequestExpired"
        said = f"<Response><Errors><Error><Code>{word}</Code><Message>{message}</Message></Error></Errors></Response>"
        return "503 Busy" if code == "Throttling" else "400 Bad Request", {"Content-Type": "text/xml"}, said.encode()
    if service == "lambda":
        word, status = ("TooManyRequestsException", "429 Busy") if code == "Throttling" else (f"{code}Exception", "403 Forbidden")
        return status, {"Content-Type": "application/json", "x-amzn-errortype": word}, json.dumps({"message": message}).encode()
    if "HTTP_X_AMZ_TARGET" in environ:
        fault = json.dumps({"__type": f"{code}Exception", "message": message})
        return "400 Bad Request", {"Content-Type": "application/x-amz-json-1.1"}, fault.encode()
    said = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    return "400 Bad Request", {"Content-Type": "text/xml"}, said.encode()
