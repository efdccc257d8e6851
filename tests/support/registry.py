"""A registry of images on this machine: Debian's docker-registry, a real one, that wants a user and a password."""

import json
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import HTTPBasicAuthHandler, HTTPPasswordMgrWithDefaultRealm, Request, build_opener, urlopen

import bcrypt

from tests.support.engine import until

CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {directory}/data}}}}
http: {{addr: "127.0.0.1:{port}", secret: test}}
auth: {{htpasswd: {{realm: test, path: {directory}/users}}}}
"""
ACCEPT = "application/vnd.docker.distribution.manifest.v2+json"


class NoRegistry(RuntimeError):
    """There is no registry; says what is missing."""


class Registry:
    """One registry with the user `ci`."""

    def __init__(self, directory: Path, users: dict[str, str]) -> None:
        if not shutil.which("docker-registry"):
            raise NoRegistry("these tests need a registry: `apt-get install docker-registry`")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.host = f"127.0.0.1:{port}"
        self._users = users
        lines = (f"{name}:{bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode()}\n" for name, word in users.items())
        (directory / "users").write_text("".join(lines))
        (directory / "config.yml").write_text(CONFIG.format(directory=directory, port=port))
        with (directory / "log").open("wb") as log:
            command = ["docker-registry", "serve", str(directory / "config.yml")]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self._answers, f"the registry answers, see {directory}/log")

    def digest(self, name: str) -> str:
        """The digest of what a tag points at, as `repository:tag`; empty if there is nothing."""
        repository, _, tag = name.rpartition(":")
        request = Request(f"http://{self.host}/v2/{repository}/manifests/{tag}", headers={"Accept": ACCEPT})
        try:
            with self._opener().open(request) as answer:
                answer.read()
                return answer.headers["Docker-Content-Digest"]
        except HTTPError as error:
            error.close()
            return ""

    def repositories(self) -> list[str]:
        with self._opener().open(f"http://{self.host}/v2/_catalog") as answer:
            return json.load(answer)["repositories"]

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)

    def _opener(self):
        known = HTTPPasswordMgrWithDefaultRealm()
        known.add_password(None, f"http://{self.host}/", *next(iter(self._users.items())))
        return build_opener(HTTPBasicAuthHandler(known))

    def _answers(self) -> bool:
        try:
            urlopen(f"http://{self.host}/v2/").close()
        except HTTPError as error:  # 401: it wants a user
            error.close()
            return True
        except URLError:
            return False
        return True
