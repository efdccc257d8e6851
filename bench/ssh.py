"""Connections, commands and scripts on hosts, against stock paramiko and ssh: `python -m bench.ssh`."""

import itertools
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from threading import Event

import paramiko

from agent.executors.merging import Merged
from agent.executors.payload import workspace_payload
from agent.executors.ssh import SshExecutor
from agent.executors.sshclient import connect
from bench.table import Row, compare, interleave, render
from tests.support.farm import Farm, Host, route
from tests.support.jobs import Jobs, now

HOSTS = 20
PAYLOAD = 20  # files of 256 KiB
STOCK, OPENSSH, OURS = "stock paramiko", "ssh", "git-pipeline"


def run(rounds: int = 15, wide: int = 3) -> list[Row]:
    """One host, then all of them; `wide` rounds of the latter."""
    with tempfile.TemporaryDirectory() as directory:
        farm = Farm(Path(directory) / "farm")
        try:
            hosts = [farm.host(extra="Subsystem sftp internal-sftp") for _ in range(HOSTS)]
            bench = _Bench(farm, hosts, Path(directory))
            return [*bench.connection(rounds), *bench.one_more(rounds), *bench.script(rounds), *bench.fan_out(wide)]
        finally:
            farm.close()


class _Bench:
    def __init__(self, farm: Farm, hosts: list[Host], root: Path) -> None:
        self._farm = farm
        self._hosts = hosts
        self._root = root
        self._numbers = itertools.count()

    def connection(self, rounds: int) -> list[Row]:
        host = self._hosts[0]
        cases: dict[str, Callable[[], object]] = {
            STOCK: lambda: self._with_stock(host, lambda client: _exec(client, "true")),
            OPENSSH: lambda: subprocess.run(self._ssh(host, command="true"), check=True),
            OURS: lambda: self._with_ours(host, "true"),
        }
        return compare("connection + true", interleave(cases, rounds), STOCK, {OURS: "<= 0.5"})

    def one_more(self, rounds: int) -> list[Row]:
        host = self._hosts[0]
        client, connection = self._stock(host), connect(route(host, self._farm.key))
        master = ["-o", f"ControlPath={self._root}/master"]
        subprocess.run(self._ssh(host, "-o", "ControlMaster=yes", *master, "-f", "-N"), check=True)
        try:
            cases: dict[str, Callable[[], object]] = {
                STOCK: lambda: _exec(client, "true"),
                "ssh with a ControlMaster": lambda: subprocess.run(self._ssh(host, *master, command="true"), check=True),
                OURS: lambda: connection.run("true"),
            }
            return compare("one more command", interleave(cases, rounds), STOCK, {OURS: "<= 0.5"})
        finally:
            subprocess.run(self._ssh(host, *master, "-O", "exit"), check=True, capture_output=True)
            client.close()
            connection.close()

    def script(self, rounds: int) -> list[Row]:
        """What the supervisor, who outlives the connection, costs on a host that is connected to."""
        host = self._hosts[0]
        client, executor = self._stock(host), self._executor(host)
        jobs = Jobs(self._root / "jobs", f"b{next(self._numbers)}")
        try:
            cases: dict[str, Callable[[], object]] = {
                STOCK: lambda: _exec(client, "echo hello"),
                OURS: lambda: executor.run(jobs("echo hello"), _Silent(), Event()),
            }
            return compare("a script, its log and its end", interleave(cases, rounds), STOCK, {})
        finally:
            client.close()
            executor.close()

    def fan_out(self, rounds: int) -> list[Row]:
        """A workspace to every host, and a script in it: connections included."""
        dice = Random(1)
        source = self._root / "workspace"
        source.mkdir()
        for number in range(PAYLOAD):
            (source / f"file{number}").write_bytes(dice.randbytes(256 * 1024))
        group = f"{PAYLOAD // 4} MiB and a script to {HOSTS} hosts"
        cases: dict[str, Callable[[], object]] = {
            STOCK: lambda: self._on_all(partial(self._stock_script, self._tar(source))),
            OURS: lambda: self._ours_on_all(source),
        }
        return compare(group, interleave(cases, rounds, warm_up=0), STOCK, {OURS: "<= 0.7"})

    def _on_all(self, work: Callable[[Host], object]) -> None:
        with ThreadPoolExecutor(HOSTS) as pool:
            list(pool.map(work, self._hosts))

    def _ours_on_all(self, source: Path) -> None:
        number = next(self._numbers)
        control = self._root / f"control{number}"
        control.mkdir()
        payload = workspace_payload(source, control)
        jobs = Jobs(self._root / "jobs", f"f{number}")
        made = {host.name: jobs("cat file* | wc -c") for host in self._hosts}
        with Merged(control / "log", _Silent()) as merged:

            def on(host: Host) -> None:
                executor, job = self._executor(host), made[host.name]
                ending = executor.run(job, merged.host(host.name), Event(), payload=payload)
                assert ending.exit_code == 0, ending
                executor.discard(job.id)
                executor.close()

            self._on_all(on)

    def _stock_script(self, tar: Path, host: Host) -> None:
        def work(client: paramiko.SSHClient) -> None:
            sftp = client.open_sftp()
            sftp.put(str(tar), "/srv/workspace.tar")
            sftp.close()
            _exec(client, "mkdir -p /srv/w && cd /srv/w && tar xf ../workspace.tar && cat workspace/file* | wc -c; rm -rf /srv/w")

        self._with_stock(host, work)

    def _tar(self, source: Path) -> Path:
        control = self._root / f"control{next(self._numbers)}"
        control.mkdir()
        return workspace_payload(source, control)

    def _executor(self, host: Host) -> SshExecutor:
        return SshExecutor("bench", route(host, self._farm.key), now)

    def _with_ours(self, host: Host, command: str) -> None:
        connection = connect(route(host, self._farm.key))
        connection.run(command)
        connection.close()

    def _with_stock(self, host: Host, work: Callable[[paramiko.SSHClient], object]) -> None:
        client = self._stock(host)
        work(client)
        client.close()

    def _stock(self, host: Host) -> paramiko.SSHClient:
        client = paramiko.SSHClient()
        client.load_host_keys(str(self._known(host)))
        client.connect(host.address, host.port, "root", key_filename=str(self._farm.key), allow_agent=False, look_for_keys=False)
        return client

    def _known(self, host: Host) -> Path:
        path = self._root / f"known-{host.name}"
        if not path.exists():
            path.write_text(host.known + "\n")
        return path

    def _ssh(self, host: Host, *options: str, command: str = "") -> list[str]:
        fixed = ("-F", "none", "-i", str(self._farm.key), "-o", f"UserKnownHostsFile={self._known(host)}", "-p", str(host.port))
        return ["ssh", "-q", *fixed, *options, f"root@{host.address}", *filter(None, (command,))]


class _Silent:
    def write(self, data: bytes) -> None:
        pass

    def notice(self, text: str) -> None:
        pass


def _exec(client: paramiko.SSHClient, command: str) -> None:
    _, output, _ = client.exec_command(command)
    output.read()
    if output.channel.recv_exit_status():
        raise RuntimeError(f"{command} failed")


if __name__ == "__main__":
    print(render("Hosts over SSH", run()))
