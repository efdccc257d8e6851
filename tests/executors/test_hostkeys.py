"""Host keys are judged as ssh judges them: the same files, asked of ssh-keygen where it can be asked."""

import subprocess
import time
from pathlib import Path

import pytest

from agent.executors.hostkeys import KnownHosts, complaint, fingerprint, inline, line_of, parse_certificate
from agent.executors.sshclient import _verify
from tests.support.farm import keygen


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("keys")
    for name in ("one", "two", "ca"):
        keygen(at / name)
    keygen(at / "rsa", kind="rsa")
    return at


def public(path: Path) -> str:
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


def blob(text: str) -> bytes:
    import base64

    return base64.b64decode(text.split()[1])


def judge(text: str, host: str, port: int, shown: bytes, now: float | None = None) -> str:
    return complaint(KnownHosts([text]).of(host, port), host, shown, now or time.time(), _verify)


@pytest.mark.parametrize(
    ("pattern", "host", "port", "known"),
    [
        ("web1", "web1", 22, True),
        ("WEB1", "web1", 22, True),
        ("web1", "web1", 2222, True),
        ("[web1]:2200", "web1", 2222, False),
        ("[web1]:2222", "web1", 2222, True),
        ("[web1]:2222", "web1", 22, False),
        ("web?.example.com", "web1.example.com", 22, True),
        ("[10.0.*]:2222", "10.0.1.7", 2222, True),
        ("*.example.com,!db.example.com", "web.example.com", 22, True),
        ("*.example.com,!db.example.com", "db.example.com", 22, False),
        ("!db.example.com,*.example.com", "db.example.com", 22, False),
        ("a.b", "axb", 22, False),
        ("[x", "[x", 22, True),
    ],
)
def test_names(keys: Path, pattern: str, host: str, port: int, known: bool):
    one = public(keys / "one")
    assert (judge(f"{pattern} {one}", host, port, blob(one)) == "") is known


def test_hashed_names(keys: Path, tmp_path: Path):
    file = tmp_path / "known"
    file.write_text(f"web1 {public(keys / 'one')}\n[web2]:2222 {public(keys / 'two')}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
    text = file.read_text()
    assert "web1" not in text
    assert judge(text, "web1", 22, blob(public(keys / "one"))) == ""
    assert judge(text, "web2", 2222, blob(public(keys / "two"))) == ""
    assert judge(text, "web3", 22, blob(public(keys / "one"))) != ""


def test_two_keys_of_one_type_and_a_changed_one(keys: Path):
    one, two, ca = (public(keys / name) for name in ("one", "two", "ca"))
    text = f"# both\n\nh {one} comment\nh {two}\nnonsense\nh ssh-ed25519 AAAA\n"
    assert judge(text, "h", 22, blob(one)) == judge(text, "h", 22, blob(two)) == ""
    assert "not the known one" in judge(text, "h", 22, blob(ca))
    assert "not known" in judge(text, "other", 22, blob(one))
    assert "not known" in judge(text, "h", 22, blob(public(keys / "rsa")))


def test_revoked(keys: Path):
    one = public(keys / "one")
    assert judge(f"h {one}\n@revoked * {one}", "h", 22, blob(one)) == "its key is revoked"


def test_the_algorithms_to_ask_for(keys: Path):
    known = KnownHosts([f"h {public(keys / 'rsa')}\nh {public(keys / 'one')}"]).of("h", 22)
    assert set(known.algorithms) == {"rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"}
    assert KnownHosts([]).of("h", 22).algorithms == ()


def certificate(keys: Path, key: str, *options: str) -> bytes:
    base = keys / key
    command = ["ssh-keygen", "-q", "-s", str(keys / "ca"), "-I", "id", *options, str(base) + ".pub"]
    subprocess.run(command, check=True, capture_output=True)
    return blob(Path(f"{base}-cert.pub").read_text())


@pytest.mark.parametrize("key", ["one", "rsa"])
def test_certificates(keys: Path, key: str):
    shown = certificate(keys, key, "-h", "-n", "web1,*.example.com", "-V", "-1h:+1h")
    assert parse_certificate(shown).key == blob(public(keys / key))
    ca = public(keys / "ca")
    text = f"@cert-authority web1,*.example.com {ca}"
    assert judge(text, "web1", 22, shown) == ""
    assert judge(text, "a.example.com", 22, shown) == ""
    assert "not signed by a known" in judge(text, "web2", 22, shown)
    assert "is not for" in judge(f"@cert-authority * {ca}", "web2", 22, shown)
    assert "over" in judge(text, "web1", 22, shown, time.time() + 7200)
    assert "not valid yet" in judge(text, "web1", 22, shown, time.time() - 7200)
    assert "revoked authority" in judge(f"{text}\n@revoked * {ca}", "web1", 22, shown)
    assert "key is revoked" in judge(f"{text}\n@revoked * {public(keys / key)}", "web1", 22, shown)
    assert "signature" in judge(text, "web1", 22, shown[:-1] + bytes([shown[-1] ^ 1]))
    assert "cannot be read" in judge(text, "web1", 22, shown[:-3])


def test_a_users_certificate_is_none_of_a_host(keys: Path):
    shown = certificate(keys, "two", "-n", "web1")
    assert "that of a user" in judge(f"@cert-authority * {public(keys / 'ca')}", "web1", 22, shown)


def test_a_certificate_without_names_is_for_nobody(keys: Path):
    shown = certificate(keys, "two", "-h")
    assert "is not for" in judge(f"@cert-authority * {public(keys / 'ca')}", "web1", 22, shown)


def test_for_people(keys: Path):
    one = public(keys / "one")
    listed = subprocess.run(["ssh-keygen", "-lf", str(keys / "one.pub")], check=True, capture_output=True, text=True).stdout
    assert fingerprint(blob(one)) in listed
    assert line_of("H", 2222, blob(one)) == f"[h]:2222 {one}"
    assert inline(one) == f"* {one}"
    assert inline(f"h {one}") == f"h {one}"
