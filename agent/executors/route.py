"""The way to a host: address, user, keys, what is known of it, and the hosts in between. With `ssh -G` for ssh_config files."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from agent.errors import EnvironmentFault
from agent.executors.hostkeys import KnownHosts

_JUMP = re.compile(r"(?:(?P<user>[^@]+)@)?(?P<host>\[[^\]]+\]|[^:\[\]]+)(?::(?P<port>\d+))?")


class Keys(NamedTuple):
    """What a user shows to be let in.

    `agent`: the socket of an ssh-agent. `passphrase` gives that of encrypted key files. `once` makes the host take a public key,
    given as a line, for the login that follows at once: then a fresh key is made for each login, and never leaves the memory.
    """

    files: tuple[Path, ...] = ()
    agent: Path | None = None
    passphrase: Callable[[], bytes] | None = None
    once: Callable[[str], None] | None = None


class Route(NamedTuple):
    """How to get to one host."""

    host: str
    port: int
    user: str
    keys: Keys
    known: KnownHosts
    via: "Route | None" = None
    proxy: str = ""  # a command whose standard streams are the connection
    timeout: float = 10.0  # seconds for each step of connecting

    @property
    def place(self) -> str:
        """For people."""
        return f"{self.user}@{self.host}" + (f":{self.port}" if self.port != 22 else "")

    @property
    def door(self) -> str:
        """The first machine on the way: how many connect to it at once is limited."""
        return self.via.door if self.via else f"{self.host}:{self.port}"


Resolve = Callable[[Route, str, tuple[str, ...]], Route]  # a route, an alias, options of ssh


def through(route: Route, jumps: str, resolve: Resolve = lambda via, _alias, _given: via) -> Route:
    """The route by way of hosts written as ssh's ProxyJump: `user@host:port`, comma between them, the nearest first.

    `resolve` makes a host of what may be an alias. Raises EnvironmentFault for what cannot be read.
    """
    via: Route | None = None
    for jump in filter(None, (each.strip() for each in jumps.split(","))):
        found = _JUMP.fullmatch(jump)
        if not found:
            raise EnvironmentFault(f"{jump!r} is no jump host", hint="write user@host:port")
        host, port = found["host"].strip("[]"), int(found["port"] or 22)
        jump_host = route._replace(host=host, port=port, user=found["user"] or route.user, via=None, proxy="")
        given = (*(("-l", found["user"]) if found["user"] else ()), *(("-p", found["port"]) if found["port"] else ()))
        via = resolve(jump_host, host, given)._replace(via=via)
    return route._replace(via=via)


def configured(route: Route, alias: str, file: Path, *given: str) -> Route:
    """The route as an ssh_config file has it for `alias`, asked of ssh itself with the options `given`. Raises EnvironmentFault.

    What the file leaves open is taken from `route`. Hosts of its ProxyJump are looked up in it too, without jumps of theirs.
    """
    if not shutil.which("ssh"):
        raise EnvironmentFault(f"{file} can only be read by ssh, which is not installed", hint="apt-get install openssh-client")
    command = ["ssh", "-F", str(file), "-G", *given, "--", alias]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise EnvironmentFault(f"ssh cannot read {file}: {done.stderr.strip()}")
    said: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        said.setdefault(key, []).append(value)
    found, jumps = _as_said(route, alias, said)
    return through(found, jumps, lambda via, name, more: configured(via, name, file, "-o", "ProxyJump=none", *more))


def _as_said(route: Route, alias: str, said: dict[str, list[str]]) -> tuple[Route, str]:
    """The route but for its jumps, and those."""

    def one(key: str) -> str:
        value = said.get(key, [""])[-1]
        return "" if value == "none" else value

    named = one("hostname")
    files = tuple(path for path in (Path(name).expanduser() for name in said.get("identityfile", [])) if path.is_file())
    agent = one("identityagent")
    route = route._replace(
        host=route.host if named in ("", alias) else named,
        port=int(one("port") or route.port),
        user=one("user") or route.user,
        keys=route.keys._replace(
            files=route.keys.files or files,
            agent=route.keys.agent or (Path(agent).expanduser() if agent not in ("", "SSH_AUTH_SOCK") else None),
        ),
    )
    tokens = {"h": named or alias, "p": str(route.port), "r": route.user, "n": alias, "%": "%"}
    command = re.sub("%(.)", lambda found: tokens.get(found[1], found[0]), one("proxycommand"))
    return route._replace(proxy=command), one("proxyjump")
