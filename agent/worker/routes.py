"""From the operator's host groups to ways over SSH: which keys, what is known of the hosts, which hosts lie between."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from agent.config import HostGroup
from agent.errors import ConfigError
from agent.executors.hostkeys import KnownHosts, inline, spelled
from agent.executors.route import Keys, Route, configured, through
from agent.model.host import Host

SYSTEM = Path("/etc/ssh/ssh_known_hosts")
DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


class Routes:
    """Makes routes.

    `directory`: of the configuration; `home` and `user`: whom the agent runs as; `secret` gives one by name; `admit` makes a host
    take a public key for a user's next login.
    """

    def __init__(
        self,
        directory: Path,
        home: Path,
        user: str,
        secret: Callable[[str], bytes],
        admit: Callable[[HostGroup, Host, str, str], None],
    ) -> None:
        self._directory = directory
        self._home = home
        self._user = user
        self._secret = secret
        self._admit = admit

    def of(self, group: HostGroup, host: Host, keys: Iterable[str] = ()) -> Route:
        """The way to one host of a group; `keys`: further ones that are known to be that host's.

        Raises ConfigError for a file that is not there, EnvironmentFault from `ssh -G`.
        """
        route = Route(
            host=host.address,
            port=host.port or group.port or 22,
            user=group.user or self._user,
            keys=Keys(
                self._key_files(group),
                self._socket(group) if group.agent else None,
                self._passphrase(group),
            ),
            known=KnownHosts(self._known(group)),
            timeout=group.timeout.total_seconds(),
        )
        if group.ssh_config:
            given = (*(("-l", group.user) if group.user else ()), *(("-p", str(route.port)) if host.port or group.port else ()))
            route = configured(route, host.id or host.address, self._file(group.ssh_config), *given)
        if group.instance_connect:
            user = route.user
            route = route._replace(keys=route.keys._replace(once=lambda key: self._admit(group, host, user, key)))
        told = [f"{spelled(route.host, route.port)} {key}" for key in keys]
        if told:
            route = route._replace(known=KnownHosts([*self._known(group), *told]))
        return through(route, group.jump) if group.jump else route

    def problems(self, group: HostGroup) -> Iterator[ConfigError]:
        """What would keep the agent from every host of a group, as far as this machine can tell."""
        for name in filter(None, (group.key, group.known_hosts, group.ssh_config)):
            try:
                self._file(name)
            except ConfigError as error:
                yield error
        if group.agent and not self._socket(group).is_socket():
            yield ConfigError(f"there is no ssh-agent at {self._socket(group)}", hint="start it, or take `agent` out")
        if not (group.key or group.agent or group.instance_connect or group.ssh_config or self._key_files(group)):
            yield ConfigError("there is no key to log in with", hint=f"name one with `key`, or make one in {self._home / '.ssh'}")
        if not (group.known_hosts or group.console_keys or "".join(self._known(group)).strip()):
            yield ConfigError(
                "no host key is known, so every host will be refused", hint="git pipeline hosts GROUP shows what to add"
            )

    def _socket(self, group: HostGroup) -> Path:
        return self._directory / Path(group.agent).expanduser()

    def _key_files(self, group: HostGroup) -> tuple[Path, ...]:
        if group.key:
            return (self._file(group.key),)
        if group.ssh_config:
            return ()
        found = (self._home / ".ssh" / name for name in DEFAULT_KEYS)
        return tuple(path for path in found if path.is_file())

    def _passphrase(self, group: HostGroup) -> Callable[[], bytes] | None:
        return (lambda: self._secret(group.passphrase)) if group.passphrase else None

    def _known(self, group: HostGroup) -> Iterator[str]:
        yield from (inline(line) for line in group.host_keys)
        if group.known_hosts:
            yield self._file(group.known_hosts).read_text(errors="replace")
        elif not group.host_keys:
            found = (self._home / ".ssh" / "known_hosts", SYSTEM)
            yield from (path.read_text(errors="replace") for path in found if path.is_file())

    def _file(self, name: str) -> Path:
        path = self._directory / Path(name).expanduser()
        if not path.is_file():
            raise ConfigError(f"{path} is not there, but [hosts] in config.toml names it")
        return path
