"""Who signed, judged with real keys and the real tools."""

import os
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from agent.errors import EnvironmentFault, RefusedError
from agent.git.signatures import Keys, begin, verify
from agent.git.tags import split
from agent.trust.people import Person
from tests.support.processes import children
from tests.support.steering import Steering

ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


@pytest.fixture(scope="module")
def repo(tmp_path_factory, keys):
    made = Steering(tmp_path_factory.mktemp("repo"), keys)
    made.commit({"a": "1"})
    yield made
    made.close()


def open_files() -> set[str]:
    return {path.name for path in Path("/dev/fd").iterdir()}


def known(keys, *names: str) -> Keys:
    people = tuple(Person(name, (keys.known(name),), (), f"{name}@example.com") for name in names)
    return Keys(people, str(keys.root / "revoked"), str(keys.root / "keyring.gpg"))


def signature(repo, by: str, **more) -> tuple[bytes, bytes, str]:
    return split(repo.raw(repo.sign(f"v-{by}", "HEAD", by, **more)))


@pytest.mark.parametrize("name", ["alice", "bob", "carol", "frank", "grace"])
def test_every_kind_of_key(repo, keys, name):
    signer = verify(*signature(repo, name), known(keys, "alice", "bob", "carol", "frank", "grace"), ENVIRONMENT)
    assert signer.person == name
    assert signer.fingerprint == keys.openpgp("grace") if name == "grace" else signer.fingerprint.startswith("SHA256:")
    assert signer.kind == ("openpgp" if name == "grace" else "ssh")


@pytest.fixture
def witness(tmp_path):
    """An ssh-keygen that writes down what it is asked."""
    script = tmp_path / "ssh-keygen"
    script.write_text(f'#!/bin/sh\necho $2 >>{tmp_path}/asked\nexec {shutil.which("ssh-keygen")} "$@"\n')
    script.chmod(0o755)
    environment = {**ENVIRONMENT, "PATH": f"{tmp_path}:{ENVIRONMENT['PATH']}"}
    return environment, lambda: (tmp_path / "asked").read_text().split()


@pytest.mark.parametrize("name", ["alice", "frank"])
def test_a_key_and_a_certificate_are_asked_about_once(repo, keys, witness, name):
    environment, asked = witness
    assert verify(*signature(repo, name), known(keys, "carol", "trent", "frank", "alice"), environment).person == name
    assert asked() == ["verify"]


def test_who_only_stands_in_a_certificate_is_not_who_signed(repo, keys, witness):
    """What the certificate itself is called, is no principal: a suggestion that ssh-keygen turns down."""
    environment, asked = witness
    addresses = {"frank": "somebody.else@example.com", "francis": "frank@example.com"}
    people = [Person(name, (keys.known("frank"),), (), address) for name, address in addresses.items()]
    assert verify(*signature(repo, "frank"), Keys(people), environment).person == "francis"
    assert asked() == ["verify", "find-principals", "verify"]


def test_a_signature_that_was_begun_and_given_up_leaves_nothing(repo, keys, tmp_path):
    before = open_files()
    (tmp_path / "ssh-keygen").write_text("#!/bin/sh\nexec sleep 1000\n")
    (tmp_path / "ssh-keygen").chmod(0o755)
    environment = {**ENVIRONMENT, "PATH": f"{tmp_path}:{ENVIRONMENT['PATH']}"}
    signed, former = signature(repo, "alice"), children()
    check = begin(*signed, known(keys, "alice"), environment)
    [process] = children() - former
    check.close()
    assert process not in children()
    assert open_files() == before


def test_the_fingerprint_is_that_of_the_key(repo, keys):
    import subprocess

    listed = subprocess.run(["ssh-keygen", "-l", "-f", keys.root / "alice.pub"], capture_output=True, check=True).stdout
    assert verify(*signature(repo, "alice"), known(keys, "alice"), ENVIRONMENT).fingerprint == listed.decode().split()[1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mallory", "belongs to nobody here"),
        ("dave", "dave's key has expired"),
        ("eve", "eve's key is not yet valid"),
        ("olga", "olga's key was revoked"),
        ("trent", "certificate"),
        ("heidi", "the key has expired"),
        ("ivan", "the key was revoked"),
        ("walter", "belongs to nobody here"),
    ],
)
def test_keys_that_do_not_count(repo, keys, name, words):
    people = known(keys, "alice", "dave", "eve", "olga", "trent", "grace", "heidi", "ivan")
    with pytest.raises(RefusedError, match=words) as caught:
        verify(*signature(repo, name), people, ENVIRONMENT)
    assert caught.value.hint


def test_lesson_1_7_a_good_signature_of_an_unknown_key_is_none(repo, keys):
    """git says "Good" and G for it."""
    payload, signed, kind = signature(repo, "mallory")
    with pytest.raises(RefusedError, match="belongs to nobody here"):
        verify(payload, signed, kind, known(keys, "alice"), ENVIRONMENT)
    with pytest.raises(RefusedError, match="belongs to nobody here"):
        verify(payload, signed, kind, Keys(()), ENVIRONMENT)


def test_lesson_1_8_an_expired_key_cannot_sign_with_a_date_of_its_youth(repo, keys):
    """git verify-tag accepts it, as it believes the tagger's date."""
    signed = signature(repo, "dave", date="2019-06-01T12:00:00Z")
    with pytest.raises(RefusedError, match="dave's key has expired"):
        verify(*signed, known(keys, "dave"), ENVIRONMENT)


@pytest.mark.parametrize("name", ["alice", "grace"])
def test_a_changed_payload(repo, keys, name):
    payload, signed, kind = signature(repo, name)
    with pytest.raises(RefusedError, match="changed after it was signed"):
        verify(payload.replace(b"fine", b"FINE"), signed, kind, known(keys, name), ENVIRONMENT)


def test_a_signature_for_something_else_than_git(repo, keys):
    payload = b"anything"
    with pytest.raises(RefusedError, match="for file, not for git"):
        verify(payload, keys.sign("alice", payload, "file"), "ssh", known(keys, "alice"), ENVIRONMENT)


@pytest.mark.parametrize(
    "change",
    [
        lambda signed: signed + b"and more\n",
        lambda signed: signed[:-20],
        lambda signed: signed.replace(b"\nU1NIU0lH", b"\nAAAAAAAA"),
        lambda signed: b"-----BEGIN SSH SIGNATURE-----\n????\n-----END SSH SIGNATURE-----\n",
        lambda signed: b"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
    ],
    ids=["more", "less", "magic", "no base64", "empty"],
)
def test_garbled_signatures(repo, keys, change):
    payload, signed, kind = signature(repo, "alice")
    with pytest.raises(RefusedError):
        verify(payload, change(signed), kind, known(keys, "alice"), ENVIRONMENT)


def test_a_certificate_counts_only_for_whom_it_names(repo, keys):
    signed = signature(repo, "frank")
    frank = Person("frank", (keys.known("frank"),), (), "somebody.else@example.com")
    with pytest.raises(RefusedError, match="certificate"):
        verify(*signed, Keys((frank,)), ENVIRONMENT)
    two = tuple(Person(name, (keys.known("frank"),), (), "frank@example.com") for name in ("frank", "carol"))
    with pytest.raises(RefusedError, match="certificate"):
        verify(*signed, Keys(two), ENVIRONMENT)


def test_the_key_in_a_certificate_does_not_count_without_it(repo, keys):
    plain = split(repo.raw(repo.sign("plain", "HEAD", "alice")))
    authority = Person("alice", (keys.known("frank"),))
    with pytest.raises(RefusedError, match="belongs to nobody here"):
        verify(*plain, Keys((authority,)), ENVIRONMENT)


def test_a_broken_line_takes_nothing_from_the_others(repo, keys):
    people = (Person("broken", ("ssh-ed25519 AAAA",)), *known(keys, "dave", "alice").people)
    assert verify(*signature(repo, "alice"), Keys(people), ENVIRONMENT).person == "alice"


@pytest.mark.parametrize("name", ["*", "a*", "!alice", "alice,bob", "a b", ""])
def test_a_name_is_no_pattern(repo, keys, name):
    with pytest.raises(RefusedError):
        verify(*signature(repo, "alice"), Keys((Person(name, (keys.known("alice"),)),)), ENVIRONMENT)


def test_files_that_are_missing_refuse_everybody(repo, keys, tmp_path):
    people = known(keys, "alice", "grace").people
    with pytest.raises(EnvironmentFault, match="revoked"):
        verify(*signature(repo, "alice"), Keys(people, revoked=str(tmp_path / "gone")), ENVIRONMENT)
    with pytest.raises(EnvironmentFault, match="keyring"):
        verify(*signature(repo, "grace"), Keys(people), ENVIRONMENT)
    (tmp_path / "armored").write_text("-----BEGIN PGP PUBLIC KEY BLOCK-----\n")
    with pytest.raises(EnvironmentFault) as caught:
        verify(*signature(repo, "grace"), Keys(people, keyring=str(tmp_path / "armored")), ENVIRONMENT)
    assert "without --armor" in caught.value.hint
    with pytest.raises(EnvironmentFault, match="ssh-keygen is not on the PATH"):
        verify(*signature(repo, "alice"), Keys(people), {"PATH": str(tmp_path)})


def test_a_list_of_revoked_keys_may_be_a_krl(repo, keys, tmp_path):
    import subprocess

    krl = tmp_path / "krl"
    subprocess.run(["ssh-keygen", "-q", "-k", "-f", krl, keys.root / "alice.pub"], check=True)
    with pytest.raises(RefusedError, match="alice's key was revoked"):
        verify(*signature(repo, "alice"), known(keys, "alice")._replace(revoked=str(krl)), ENVIRONMENT)
    assert verify(*signature(repo, "bob"), known(keys, "bob")._replace(revoked=str(krl)), ENVIRONMENT).person == "bob"


def test_nothing_is_left_behind(repo, keys):
    before = open_files()
    signed = signature(repo, "alice")
    for _ in range(3):
        verify(*signed, known(keys, "alice"), ENVIRONMENT)
    assert open_files() == before


@pytest.mark.parametrize(("name", "then"), [("dave", "2019-06-01"), ("heidi", "2020-01-15"), ("trent", "2020-06-01")])
def test_by_the_time_at_which_it_was_received(repo, keys, name, then):
    """For whoever looks years later: a key that has expired since was good then."""
    at = int(datetime.fromisoformat(f"{then}T12:00:00+00:00").timestamp())
    given = known(keys, name)
    assert verify(*signature(repo, name), given._replace(at=at), ENVIRONMENT).person == name
    with pytest.raises(RefusedError):
        verify(*signature(repo, name), given._replace(at=at + 10 * 365 * 86400), ENVIRONMENT)
