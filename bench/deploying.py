"""Those who deploy in `bench.deploy`: ours, and its peers as their users run them.

Each puts a version under /srv/app on every host and leads `current` there. The peers are kept in
`.bench/`, and fetched when they are missing.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from bench.tools import CACHE, Peer, fetched, install, rsync
from tests.support.deploying import Fleet
from tests.support.farm import Host

BASE = "/srv/app"
PACKAGES = ("ansible-core", "fabric", "pyinfra")
SWITCH = f"cd {BASE} && ln -s releases/%s .current && mv -T .current current"
UNPACK = f"mkdir -p {BASE}/releases/%s && tar xf /srv/%s.tar -C {BASE}/releases/%s && rm /srv/%s.tar && {SWITCH}"


class Version(NamedTuple):
    """One state of the application: in a directory with the times that a checkout has, in git, and as an artifact."""

    name: str
    directory: Path
    commit: str
    digest: str


Deployer = Callable[[Version, str], None]  # a version, and the name of the former one on the hosts, or ""


class Hosts:
    """The first hosts of a farm, as `ssh` is told of them."""

    def __init__(self, fleet: Fleet, count: int, place: Path) -> None:
        self.fleet = fleet
        self.all: Sequence[Host] = fleet.farm.hosts[:count]
        self.place = place
        self.known = place / "known_hosts"
        self.known.write_text("".join(f"{host.known}\n" for host in self.all))
        self.ssh = ["ssh", "-i", str(fleet.farm.key), "-o", f"UserKnownHostsFile={self.known}", "-o", "IdentitiesOnly=yes"]

    def each(self, do: Callable[[Host], object]) -> None:
        with ThreadPoolExecutor(len(self.all)) as pool:
            for done in [pool.submit(do, host) for host in self.all]:
                done.result()


def ours(hosts: Hosts, kind: str) -> Deployer:
    """The deploy action, with connections of its own each time; `kind` is commit or artifact."""

    def deploy(version: Version, former: str) -> None:
        hosts.fleet.hang_up()
        attempt = hosts.fleet.attempt(version.commit, digest=version.digest if kind == "artifact" else "")
        outcome = hosts.fleet.perform(attempt)
        if not outcome.succeeded:
            raise RuntimeError(outcome.message)

    return deploy


def by_rsync(hosts: Hosts) -> Deployer:
    """`rsync --link-dest` to all hosts at once, and the switch by ssh."""
    peer = rsync()
    # The hosts of the farm have the files of this machine, so its rsync is theirs.
    program = ["env", f"LD_LIBRARY_PATH={':'.join(map(str, peer.libraries))}", str(peer.binary)]
    shell = " ".join([*hosts.ssh, "-p", "2222"])

    def deploy(version: Version, former: str) -> None:
        def to(host: Host) -> None:
            link = [f"--link-dest={BASE}/releases/{former}"] if former else []
            target = f"root@{host.address}:{BASE}/releases/{version.name}/"
            there = f"--rsync-path={' '.join(program)}"
            _call([*program, "-a", "--mkpath", there, *link, "-e", shell, f"{version.directory}/", target])
            _call([*hosts.ssh, "-p", "2222", f"root@{host.address}", SWITCH % version.name])

        hosts.each(to)

    return deploy


def by_ansible(hosts: Hosts) -> Deployer:
    """A playbook: unarchive, and a link; pipelining, kept connections, as many forks as hosts."""
    inventory, playbook = hosts.place / "inventory", hosts.place / "playbook.yml"
    inventory.write_text("".join(f"{host.name} ansible_host={host.address}\n" for host in hosts.all))
    playbook.write_text(_PLAYBOOK)
    shared = f"-o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile={hosts.known} -o IdentitiesOnly=yes"
    environment = {
        "ANSIBLE_PIPELINING": "1", "ANSIBLE_FORKS": str(len(hosts.all)), "ANSIBLE_GATHERING": "explicit", "PATH": "/usr/bin:/bin",
        "ANSIBLE_SSH_ARGS": shared, "HOME": str(hosts.place), "ANSIBLE_SSH_CONTROL_PATH_DIR": str(hosts.place / "cp"),
        "LC_ALL": "C.UTF-8", "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
    }  # fmt: skip

    def deploy(version: Version, former: str) -> None:
        archive = _archive(hosts, version)
        values = {"name": version.name, "archive": str(archive), "base": BASE}
        command = [_binary("ansible-playbook"), "-i", inventory, "-u", "root", "--private-key", hosts.fleet.farm.key]
        _call([*command, "-e", "ansible_port=2222", "-e", json.dumps(values), playbook], environment)

    return deploy


_PLAYBOOK = """\
- hosts: all
  tasks:
    - file: {path: "{{ base }}/releases/{{ name }}", state: directory}
    - unarchive: {src: "{{ archive }}", dest: "{{ base }}/releases/{{ name }}"}
    - command: ln -s releases/{{ name }} .current
      args: {chdir: "{{ base }}"}
    - command: mv -T .current current
      args: {chdir: "{{ base }}"}
"""


def by_fabric(hosts: Hosts) -> Deployer:
    """A ThreadingGroup: the archive, and what unpacks it."""
    return _by_script(hosts, "fabric", _FABRIC)


_FABRIC = """\
import sys, json
from fabric import Connection, ThreadingGroup
told = json.loads(sys.argv[1])
keys = {"key_filename": told["key"], "look_for_keys": False, "allow_agent": False}
connections = [Connection(address, user="root", port=2222, connect_kwargs=keys) for address in told["addresses"]]
for one in connections: one.client.load_host_keys(told["known"])
group = ThreadingGroup.from_connections(connections)
group.put(told["archive"], "/srv/" + told["name"] + ".tar")
group.run(told["unpack"], hide=True)
"""


def by_pyinfra(hosts: Hosts) -> Deployer:
    """files.put and server.shell."""
    inventory, script = hosts.place / "inventory.py", hosts.place / "by_pyinfra.py"
    options = {
        "ssh_user": "root", "ssh_port": 2222, "ssh_key": str(hosts.fleet.farm.key), "ssh_known_hosts_file": str(hosts.known),
        "ssh_strict_host_key_checking": "yes", "ssh_look_for_keys": False, "ssh_allow_agent": False,
    }  # fmt: skip
    inventory.write_text(f"hosts = [{', '.join(repr((host.address, options)) for host in hosts.all)}]\n")

    def deploy(version: Version, former: str) -> None:
        archive = _archive(hosts, version)
        put = f'files.put(src="{archive}", dest="/srv/{version.name}.tar")'
        script.write_text(f"from pyinfra.operations import files, server\n{put}\nserver.shell({_unpack(version)!r})\n")
        _call([_binary("pyinfra"), "-y", inventory, script])

    return deploy


def _by_script(hosts: Hosts, peer: str, text: str) -> Deployer:
    script = hosts.place / f"by_{peer}.py"
    script.write_text(text)

    def deploy(version: Version, former: str) -> None:
        told = {
            "key": str(hosts.fleet.farm.key), "known": str(hosts.known), "addresses": [host.address for host in hosts.all],
            "archive": str(_archive(hosts, version)), "name": version.name, "unpack": _unpack(version),
        }  # fmt: skip
        _call([_binary("python"), script, json.dumps(told)])

    return deploy


def _unpack(version: Version) -> str:
    return UNPACK % ((version.name,) * 5)


def _archive(hosts: Hosts, version: Version) -> Path:
    """What the peers send, made as they are told to deploy."""
    archive = hosts.place / f"{version.name}.tar"
    _call(["tar", "cf", archive, "-C", version.directory, "."])
    return archive


def peers() -> Peer:
    """Ansible, Fabric and pyinfra, from PyPI."""
    place = CACHE / "deploy"

    def fetch() -> None:
        install([sys.executable, "-m", "venv", place])
        install([place / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES])

    return fetched(place / "bin" / "pyinfra", fetch)


def _binary(name: str) -> Path:
    return CACHE / "deploy" / "bin" / name


def _call(command: Sequence[object], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {(done.stderr or done.stdout)[-2000:]}")
