"""A real web server on this machine, which keeps what it is asked and answers as it is told."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple

PATIENCE = 60.0  # seconds


class Asked(NamedTuple):
    """One request, as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Web:
    """`answers` are used up one by one: a status, with headers if need be; without any it is 200. 0 hangs up."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: deque[tuple[int, dict[str, str]]] = deque()
        self.before: Callable[[], None] = lambda: None  # is called when a request has come, before it is answered
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                web.asked.append(Asked(self.command, self.path, dict(self.headers), body))
                web.before()
                status, headers = web.answers.popleft() if web.answers else (200, {})
                if not status:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_PUT = do_PATCH = do_DELETE = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def wait(self, count: int) -> list[Asked]:
        """The requests, once there are so many."""
        deadline = time.monotonic() + PATIENCE
        while len(self.asked) < count:
            assert time.monotonic() < deadline, f"{len(self.asked)} requests came, not {count}"
            time.sleep(0.02)
        return list(self.asked)

    def close(self) -> None:
        """Nobody listens there any more."""
        self._server.shutdown()  # both are harmless a second time
        self._server.server_close()
