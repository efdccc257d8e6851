"""A small web application in two slots behind nginx, and load on it: what a switch without a failed request is shown with."""

import http.client
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.engine import until
from tests.support.farm import NoServer

SERVER = """\
import http.server, os, pathlib, signal, socketserver, sys, threading

VERSION = pathlib.Path("version").read_bytes()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(VERSION)))
        self.end_headers()
        self.wfile.write(VERSION)

    def log_message(self, *words):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    request_queue_size = 1024
    daemon_threads = False
    allow_reuse_address = True


if len(sys.argv) == 2:
    Server.address_family, place = socketserver.socket.AF_UNIX, sys.argv[1]
else:
    place = (sys.argv[1], int(sys.argv[2]))
os.umask(0)
with Server(place, Handler) as server:
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(0.05)
"""
HEALTH = """\
import socket, sys
with socket.socket(socket.AF_UNIX) if len(sys.argv) == 2 else socket.socket() as door:
    door.connect(sys.argv[1] if len(sys.argv) == 2 else (sys.argv[1], int(sys.argv[2])))
    door.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    assert b"200 OK" in door.recv(1000)
"""
# The bad version is well until it has the traffic: only the time of watching finds it out.
OPTIONS = {
    "slots": {"blue": 8081, "green": 8082},
    "start": 'python3 server.py "$SOCKET" > /srv/app/log-$SLOT 2>&1 & echo $! > /srv/app/pid-$SLOT',
    "stop": "kill $(cat /srv/app/pid-$SLOT)",
    "drain": "1s",
    "bake": "1s",
    "health": {
        "command": 'python3 health.py "$SOCKET" && ! { grep -q bad version && grep -q bad /srv/app/current/version; }',
        "retries": 20,
        "interval": "1s",
        "timeout": "10s",
    },
}
SWITCH = """\
printf 'server {address}:%s;\\n' "$PORT" > {place}.include.new && mv {place}.include.new {place}.include
[ ! -s {place}/nginx.pid ] || /usr/sbin/nginx -c {place}/nginx.conf -e {place}/error.log -s reload
"""
CONFIG = """\
user root;
worker_processes 1;
daemon off;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/f;
  uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
  keepalive_requests 1000000;
  upstream application {{ {upstream} }}
  server {{
    listen {address}:{port};
    location / {{ proxy_pass http://application; proxy_next_upstream off; }}
  }}
}}
"""
PORT = 8080


def application(version: str) -> dict[str, str]:
    """The files of a version."""
    return {"version": version, "server.py": SERVER, "health.py": HEALTH}


def included(place: Path, address: str) -> dict[str, object]:
    """OPTIONS for slots at ports: the switch writes what nginx includes, and has it read its configuration again."""
    plain = {key: str(value).replace('"$SOCKET"', f'{address} "$PORT"') for key, value in OPTIONS.items() if key == "start"}
    health = {**OPTIONS["health"], "command": OPTIONS["health"]["command"].replace('"$SOCKET"', f'{address} "$PORT"')}
    return {**OPTIONS, **plain, "health": health, "switch": SWITCH.format(place=place, address=address)}


@contextmanager
def nginx(place: Path, address: str, socket: Path | None = None) -> Iterator[None]:
    """While it lasts, nginx hands on requests to the socket; it is told nothing when that leads elsewhere.

    Without one it hands them on where the file beside `place` says, which `included` writes.
    """
    place.mkdir()
    config = place / "nginx.conf"
    upstream = f"server unix:{socket};" if socket else f"include {place}.include;"
    config.write_text(CONFIG.format(place=place, address=address, port=PORT, upstream=upstream))
    try:
        process = subprocess.Popen(["/usr/sbin/nginx", "-c", str(config), "-e", str(place / "error.log")])
    except FileNotFoundError as error:
        raise NoServer("this needs nginx: apt-get install nginx-light") from error
    try:
        until(lambda: _answers(address), "nginx answers")
        yield
    finally:
        process.terminate()
        process.wait()


class Load:
    """Requests from several threads, with connections that are kept or each with its own; none is tried a second time."""

    def __init__(self, address: str, threads: int = 6, *, keep: bool = True) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._address = address
        self._headers = {} if keep else {"Connection": "close"}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    @property
    def count(self) -> int:
        """Requests so far."""
        return sum(self.answers.values()) + len(self.failures)

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._address, PORT, timeout=30)
        while not self._stop.is_set():
            try:
                connection.request("GET", "/", headers=self._headers)
                answer = connection.getresponse()
                said = answer.read().decode()
                self._keep("" if answer.status == 200 else f"{answer.status}", said)
            except (OSError, http.client.HTTPException) as error:
                self._keep(repr(error), "")
                connection.close()
        connection.close()

    def _keep(self, failure: str, said: str) -> None:
        with self._lock:
            if failure:
                self.failures.append(failure)
            else:
                self.answers[said] += 1


def _answers(address: str) -> bool:
    connection = http.client.HTTPConnection(address, PORT, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
