"""The agent's key: made once, readable by nobody else, as ssh-keygen would have made it."""

import subprocess

import pytest

from agent.errors import EnvironmentFault, RefusedError, UsageError
from agent.results.sign import GIT, RECORD, PrivateKey, PublicKey, armoured, bare, signer_of
from agent.worker import keys


def test_made_once(tmp_path):
    made = keys.make(tmp_path)
    assert keys.make(tmp_path) is None
    assert keys.load(tmp_path).public == made
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "key.pub"]


def test_one_that_ssh_keygen_made_serves(tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    listed = subprocess.run(["ssh-keygen", "-l", "-f", tmp_path / "key"], check=True, capture_output=True, text=True)
    assert keys.load(tmp_path).public.fingerprint == listed.stdout.split()[1]


def test_ssh_keygen_reads_ours(tmp_path):
    made = keys.make(tmp_path)
    said = subprocess.run(["ssh-keygen", "-y", "-f", tmp_path / "key"], check=True, capture_output=True, text=True).stdout
    assert said.strip().startswith(made.line)


@pytest.mark.parametrize("namespace", [GIT, RECORD])
def test_signatures_are_those_of_ssh_keygen(tmp_path, namespace):
    keys.make(tmp_path)
    key = keys.load(tmp_path)
    how = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", tmp_path / "key"]
    theirs = subprocess.run(how, input=b"payload", check=True, capture_output=True).stdout
    ours = key.seal(b"payload", namespace)
    assert armoured(ours) + b"\n" == theirs
    assert bare(theirs.rstrip()) == ours
    assert signer_of(ours) == key.public


def test_a_signature_is_for_one_text_and_one_purpose():
    key = PrivateKey.generate()
    sealed = key.seal(b"payload", GIT)
    key.public.check(b"payload", sealed, GIT)
    for payload, signature, namespace in (
        (b"Payload", sealed, GIT), (b"payload", sealed, RECORD), (b"payload", sealed + "=", GIT), (b"payload", "", GIT),
        (b"payload", PrivateKey.generate().seal(b"payload", GIT), GIT), (b"payload", sealed[:-4], GIT),
    ):  # fmt: skip
        with pytest.raises(RefusedError):
            key.public.check(payload, signature, namespace)


def test_no_bit_of_a_signature_can_be_changed():
    key = PrivateKey.generate()
    sealed = key.seal(b"payload", GIT)
    for place, letter in enumerate(sealed):
        for bit in (1, 2, 4):
            changed = sealed[:place] + chr(ord(letter) ^ bit) + sealed[place + 1 :]
            with pytest.raises(RefusedError):
                key.public.check(b"payload", changed, GIT)


def test_one_that_others_can_read_is_refused(tmp_path):
    keys.make(tmp_path)
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(EnvironmentFault, match="can be read by others"):
        keys.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no key", PrivateKey.generate().pem[:200]])
def test_one_that_is_broken_is_told(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(EnvironmentFault, match="cannot be used"):
        keys.load(tmp_path)


def test_another_kind_of_key(tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "key"], check=True)
    with pytest.raises(EnvironmentFault, match="no ed25519 key"):
        keys.load(tmp_path)


@pytest.mark.parametrize("text", ["", "ssh-rsa AAAA", "ssh-ed25519 AAAA", "ssh-ed25519 " + "A" * 68])
def test_what_is_no_public_key(text):
    with pytest.raises(UsageError):
        PublicKey.parse(text)
