"""Connections to real servers: who is let in, who is trusted, over which way."""

import socket
import subprocess
import sys
import threading
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from agent.errors import EnvironmentFault
from agent.executors.hostkeys import KnownHosts
from agent.executors.packets import Packets, is_near
from agent.executors.route import Keys, configured, through
from agent.executors.sshclient import HostKeyFault, LoginFault, Unreachable, connect
from tests.support.engine import until
from tests.support.farm import Farm, Host, keygen, route

PROXY = """\
#!{python}
import os, socket, sys, threading
assert sys.argv[1:] == ["i-0123", "i-0123", "2222", "100%"], sys.argv
far = socket.create_connection(("{host}", 2222))

def back():
    while data := far.recv(65536):
        os.write(1, data)

threading.Thread(target=back, daemon=True).start()
while data := os.read(0, 65536):
    far.sendall(data)
"""


def said(way, command: str = "hostname") -> str:
    connection = connect(way)
    try:
        return connection.run(command).output.decode().strip()
    finally:
        connection.close()


def test_in_and_out(farm: Farm, host: Host):
    connection = connect(route(host, farm.key))
    answer = connection.run("cat; echo oops >&2; exit 3", [b"one ", b"two"])
    assert answer == (3, b"one two", b"oops\n")
    big = bytes(range(256)) * 80_000
    assert connection.run("wc -c", [big]).output.strip() == str(len(big)).encode()
    connection.close()
    assert not connection.is_open


def test_who_stops_reading_early_says_why(farm: Farm, host: Host):
    connection = connect(route(host, farm.key))
    answer = connection.run("echo full >&2; exit 9", [bytes(1024**2)] * 30)
    assert (answer.status, answer.errors) == (9, b"full\n")
    connection.close()


def test_more_commands_at_once_than_sshd_has_sessions(farm: Farm, host: Host):
    connection = connect(route(host, farm.key))
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(connection.run("sleep 0.1; echo x").output)) for _ in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == [b"x\n"] * 25
    connection.close()


def test_lesson_1_22_an_unknown_host_is_refused_with_the_line_to_add(farm: Farm, host: Host):
    with pytest.raises(HostKeyFault, match="not known") as fault:
        connect(route(host, farm.key, known=KnownHosts([])))
    assert host.known in fault.value.hint


def test_lesson_1_22_a_wrong_host_key_is_refused_and_no_key_of_ours_is_shown(farm: Farm, host: Host, tmp_path: Path):
    other = keygen(tmp_path / "other").with_name("other.pub").read_text()
    before = host.log.count("publickey")
    with pytest.raises(HostKeyFault, match="somebody stands in between"):
        connect(route(host, farm.key, known=KnownHosts([f"[{host.address}]:{host.port} {other}"])))
    assert host.log.count("publickey") == before


@pytest.mark.parametrize(
    ("lines", "trusted"),
    [
        (["[127.0.*]:2222 {right}"], True),
        (["[127.0.*]:2222,![{address}]:2222 {right}"], False),
        (["{address} {right}"], True),  # of port 22, but nothing else is known
        (["{address} {right}", "[{address}]:2222 {other}"], False),
        (["{address} {other}"], False),
        (["{address} {right}", "@revoked [{address}]:2222 {right}"], False),
        (["[{address}]:2222 {other}", "[{address}]:2222 {right}"], True),  # the keys are being changed
        (["[{address}]:2222 {other}"], False),
        (["[{address}]:2222 {right}", "@revoked * {right}"], False),
        (["@cert-authority [{address}]:2222 {other}", "[{address}]:2222 {right}"], True),
        (["hash", "[{address}]:2222 {right}"], True),
    ],
)
def test_known_hosts_as_ssh_itself_reads_them(farm: Farm, host: Host, tmp_path: Path, lines: list[str], trusted: bool):
    other = keygen(tmp_path / "other").with_name("other.pub").read_text().strip()
    text = "\n".join(line.format(address=host.address, right=host.host_key, other=other) for line in lines if line != "hash")
    file = tmp_path / "known"
    file.write_text(text + "\n")
    if "hash" in lines:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
    options = ["-F", "none", "-o", f"UserKnownHostsFile={file}", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"]
    command = ["ssh", *options, "-i", str(farm.key), "-p", str(host.port), f"root@{host.address}", "hostname"]
    assert (subprocess.run(command, capture_output=True).returncode == 0) is trusted
    way = route(host, farm.key, known=KnownHosts([file.read_text()]))
    if trusted:
        assert said(way) == host.name
    else:
        with pytest.raises(HostKeyFault):
            connect(way)


def test_the_quickest_cipher_comes_first(farm: Farm):
    host = farm.host(extra="LogLevel DEBUG1")
    assert said(route(host, farm.key)) == host.name
    assert "kex: client->server cipher: aes128-gcm@openssh.com" in host.log


def test_a_host_certificate(farm: Farm, tmp_path: Path):
    ca = keygen(tmp_path / "ca")
    host = farm.host(start=False)
    names = ["-h", "-n", host.address]
    subprocess.run(["ssh-keygen", "-q", "-s", str(ca), "-I", "h", *names, f"{host.key_file}.pub"], check=True)
    host.configure(f"HostCertificate {host.key_file}-cert.pub")
    host.start()
    authority = (tmp_path / "ca.pub").read_text()
    trusted = KnownHosts([f"@cert-authority [127.0.*]:* {authority}"])
    assert said(route(host, farm.key, known=trusted)) == host.name
    with pytest.raises(HostKeyFault):
        connect(route(host, farm.key, known=KnownHosts([f"@cert-authority other {authority}"])))


@pytest.mark.parametrize("extra", ["KexAlgorithms curve25519-sha256", "Ciphers aes256-ctr", "RekeyLimit 1M"])
def test_servers_with_habits(farm: Farm, extra: str):
    host = farm.host(extra=extra)
    assert said(route(host, farm.key), "head -c 5000000 /dev/zero | wc -c") == "5000000"
    connection = connect(route(host, farm.key))
    assert connection.run("wc -c", [bytes(5_000_000)]).output.strip() == b"5000000"
    connection.close()


def arrived(connection, pieces: list[bytes | memoryview]) -> bool:
    """Whether what is sent is what is read at the far end."""
    digest = connection.run("sha256sum", pieces).output.split()[0].decode()
    return digest == sha256(b"".join(pieces)).hexdigest()


PIECES = [Random(size).randbytes(size) for size in (1, 0, 15, 16, 17, 32_704, 32_768, 262_144, 262_145, 3_000_000)]


@pytest.mark.parametrize("extra", ["", "Ciphers aes256-gcm@openssh.com", "Ciphers aes128-ctr", "RekeyLimit 1M"])
def test_much_in_pieces_of_any_size(farm: Farm, extra: str):
    host = farm.host(extra=extra)
    with closing(connect(route(host, farm.key))) as connection:
        assert arrived(connection, [*PIECES, memoryview(PIECES[-1])[7:-7]])
        assert arrived(connection, PIECES[::-1])


def test_much_from_several_threads_at_once(farm: Farm, host: Host):
    found: list[bool] = []
    with closing(connect(route(host, farm.key))) as connection:
        threads = [threading.Thread(target=lambda: found.append(arrived(connection, PIECES * 3))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert found == [True] * 6


def test_keys_are_changed_in_the_middle_by_us(farm: Farm, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Packets, "REKEY_BYTES", 1_000_000)
    host = farm.host(extra="LogLevel DEBUG1")
    with closing(connect(route(host, farm.key))) as connection:
        assert arrived(connection, PIECES * 3)
    assert host.log.count("SSH2_MSG_NEWKEYS received") > 3


def test_much_by_way_of_another_host(farm: Farm, host: Host):
    inner = farm.host()
    way = through(route(inner, farm.key, known=KnownHosts([host.known, inner.known])), f"root@{host.address}:{host.port}")
    with closing(connect(way)) as connection:
        assert arrived(connection, PIECES)


def test_a_host_that_reads_slowly_has_all_of_it(farm: Farm, host: Host):
    with closing(connect(route(host, farm.key))) as connection:
        said = connection.run("sleep 0.5; dd bs=4096 count=1 status=none | wc -c; sleep 0.5; wc -c", [bytes(8_000_000)])
    first, rest = map(int, said.output.split())
    assert first + rest == 8_000_000


def test_a_host_that_never_takes_a_burst_gets_less(farm: Farm, host: Host, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("agent.executors.packets.BURST", 2**30)
    with closing(connect(route(host, farm.key))) as connection:
        said = connection.run("dd bs=200000 count=1 iflag=fullblock status=none | wc -c; sleep 0.5; wc -c", [bytes(4_000_000)])
    assert list(map(int, said.output.split())) == [200_000, 3_800_000]


def test_a_host_that_is_slow_to_say_what_it_takes_is_sent_all_that_it_allows(
    farm: Farm, host: Host, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("agent.executors.packets.ON_THE_WAY", 64 * 1024)  # of which sshd says nothing
    with closing(connect(route(host, farm.key))) as connection:
        assert arrived(connection, PIECES)


def test_a_host_near_by_is_not_sent_more_than_it_needs(host: Host):
    with socket.create_connection((host.address, host.port)) as near:
        near.recv(4)  # so that there was one round trip
        assert is_near(near)


def test_who_is_reached_through_something_else_is_not_near():
    here, there = socket.socketpair()
    with here, there:
        assert not is_near(here)
    assert not is_near(object())


def test_a_host_that_takes_nothing_more_is_given_up(farm: Farm, host: Host):
    with closing(connect(route(host, farm.key))) as connection, pytest.raises(Unreachable, match="takes nothing more"):
        connection.run("sleep 30", [bytes(8_000_000)], timeout=1)


def test_an_encrypted_key(farm: Farm, host: Host, tmp_path: Path):
    key = keygen(tmp_path / "locked", passphrase="open sesame")
    host.allow(key)
    assert said(route(host, key, keys=Keys((key,), passphrase=lambda: b"open sesame"))) == host.name
    wrong = keygen(tmp_path / "locked2", passphrase="x y z")
    with pytest.raises(EnvironmentFault, match="cannot be decrypted"):
        connect(route(host, wrong, keys=Keys((wrong,), passphrase=lambda: b"nonsense")))
    with pytest.raises(EnvironmentFault) as fault:
        connect(route(host, wrong))
    assert "passphrase" in fault.value.hint


def test_a_key_that_the_host_does_not_know(farm: Farm, host: Host, tmp_path: Path):
    with pytest.raises(LoginFault, match="does not let us in") as fault:
        connect(route(host, keygen(tmp_path / "stranger")))
    assert "stranger" in fault.value.hint


@pytest.fixture
def agent(tmp_path: Path):
    """The socket of an ssh-agent without keys."""
    door = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(door)], stdout=subprocess.DEVNULL)
    until(door.exists, "the ssh-agent answers")
    yield door
    process.kill()
    process.wait()


def add(agent: Path, key: Path) -> None:
    subprocess.run(["ssh-add", "-q", str(key)], check=True, capture_output=True, env={"SSH_AUTH_SOCK": str(agent)})


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_the_keys_of_an_agent(farm: Farm, host: Host, tmp_path: Path, agent: Path, kind: str):
    key = keygen(tmp_path / "mine", kind=kind)
    add(agent, keygen(tmp_path / "other"))
    add(agent, key)
    way = route(host, key, keys=Keys(agent=agent))
    with pytest.raises(LoginFault, match="does not let us in") as fault:
        connect(way)
    assert "those of the ssh-agent" in fault.value.hint
    host.allow(key)
    assert said(way) == host.name


def test_an_agent_that_is_gone(farm: Farm, host: Host, tmp_path: Path):
    with pytest.raises(EnvironmentFault, match="does not answer"):
        connect(route(host, farm.key, keys=Keys(agent=tmp_path / "nobody")))


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
@pytest.mark.parametrize("held", ["in a file", "by an agent"])
def test_a_users_certificate(farm: Farm, tmp_path: Path, agent: Path, kind: str, held: str):
    authority, key = keygen(tmp_path / "ca"), keygen(tmp_path / "mine", kind=kind)
    host = farm.host(extra=f"TrustedUserCAKeys {authority}.pub")
    way = route(host, key)
    with pytest.raises(LoginFault):
        connect(way)
    subprocess.run(
        ["ssh-keygen", "-q", "-s", str(authority), "-I", "me", "-n", "root", f"{key}.pub"], check=True, capture_output=True
    )
    if held == "by an agent":
        add(agent, key)
        way = route(host, key, keys=Keys(agent=agent))
    assert said(way) == host.name


def test_by_way_of_another_host(farm: Farm, host: Host):
    inner = farm.host(extra=f"AllowUsers root@{host.address} root@127.0.0.1")
    known = KnownHosts([host.known, inner.known])
    way = through(route(inner, farm.key, known=known), f"root@{host.address}:{host.port}")
    assert said(way) == inner.name
    with pytest.raises(HostKeyFault):
        connect(through(route(inner, farm.key), f"root@{host.address}:{host.port}"))
    with pytest.raises(EnvironmentFault, match="no jump host"):
        through(way, "a b c:d")


def test_as_an_ssh_config_file_has_it(farm: Farm, host: Host, tmp_path: Path):
    included = tmp_path / "more"
    included.write_text(f"Host web\n  HostName {host.address}\n  Port {host.port}\n  User root\n  IdentityFile {farm.key}\n")
    config = tmp_path / "config"
    config.write_text(f"Include {included}\n")
    bare = route(host, farm.key, host="web", port=22, user="nobody", keys=Keys())
    assert said(configured(bare, "web", config)) == host.name


def test_jump_hosts_of_an_ssh_config_file(farm: Farm, host: Host, tmp_path: Path):
    inner = farm.host(extra=f"AllowUsers root@{host.address} root@127.0.0.1")
    config = tmp_path / "config"
    config.write_text(
        f"Host inner\n  HostName {inner.address}\n  Port {inner.port}\n  ProxyJump bastion\n"
        f"Host bastion\n  HostName {host.address}\n  Port {host.port}\n  ProxyJump bastion\n"
        f"Host *\n  User root\n  IdentityFile {farm.key}\n"
    )
    bare = route(inner, farm.key, host="inner", port=22, user="nobody", keys=Keys(), known=KnownHosts([host.known, inner.known]))
    way = configured(bare, "inner", config)
    assert way.via
    assert (way.via.host, way.via.port, way.via.user, way.via.via) == (host.address, host.port, "root", None)
    assert said(way) == inner.name


def test_by_way_of_a_command(farm: Farm, host: Host, tmp_path: Path):
    """As for instances that only a tool of the provider reaches: ssh is asked by the instance's id."""
    config, proxy = tmp_path / "config", tmp_path / "proxy"
    proxy.write_text(PROXY.format(python=sys.executable, host=host.address))
    proxy.chmod(0o755)
    config.write_text(f"Host i-*\n  Port {host.port}\n  ProxyCommand {proxy} '%n' %h %p 100%%\n")
    way = configured(route(host, farm.key, port=22), "i-0123", config)
    assert way.proxy == f"{proxy} 'i-0123' i-0123 {host.port} 100%"
    assert (way.host, way.port) == (host.address, host.port)
    assert said(way) == host.name
    config.write_text("Host *\n  ProxyCommand exit 1\n")
    with pytest.raises(Unreachable, match="cannot be reached"):
        connect(configured(route(host, farm.key, timeout=1.0), "i-0123", config))


def test_a_host_that_is_not_there(farm: Farm):
    host = farm.host(start=False)
    with pytest.raises(Unreachable, match="refused"):
        connect(route(host, farm.key))


def test_forty_at_once_to_a_server_that_lets_in_few(farm: Farm):
    """sshd drops connections beyond its MaxStartups: they are made a few at a time, and again."""
    host = farm.host(start=False)
    host.configure("")
    text = host.config.read_text().replace("MaxStartups 500:30:1000", "MaxStartups 4:50:10")
    host.config.write_text(text)
    host.start()
    names: list[str] = []
    threads = [threading.Thread(target=lambda: names.append(said(route(host, farm.key)))) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert names == [host.name] * 40
