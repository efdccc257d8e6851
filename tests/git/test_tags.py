"""Tag objects, read as git stores them."""

import pytest

from agent.errors import RefusedError
from agent.git.tags import MAX_SIZE, parse, read, split, trailers
from tests.support.repo import Repo

COMMIT = "1" * 40
RAW = f"object {COMMIT}\ntype commit\ntag v1\ntagger Ada L <ada@example.com> 1700000000 +0100\n\nfine\n\nMode: all\n".encode()
KEYS = ("Action", "Mode", "Var")


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path)


def test_a_tag_of_git(repo):
    commit = repo.commit({"a": "1"})
    oid = repo.tag("v1", message="one\n\ntwo")
    repo.push("refs/tags/v1")
    tag = parse(*read(repo.server, [oid])[oid])
    assert (tag.target, tag.target_type, tag.name, tag.tagger, tag.email) == (commit, "commit", "v1", "Ada", "ada@example.com")
    assert (tag.message, tag.signature, tag.kind) == ("one\n\ntwo", b"", "")
    assert tag.payload == repo.run("cat-file", "tag", oid).stdout


def test_what_is_no_tag(repo):
    commit = repo.commit({"a": "1"})
    repo.push()
    found = read(repo.server, [commit, "0" * 40, commit])
    assert found == {commit: ("commit", b""), "0" * 40: ("missing", b"")}
    with pytest.raises(RefusedError, match="it is a lightweight tag: it points straight at a commit"):
        parse(*found[commit])
    assert read(repo.server, []) == {}


def test_what_is_too_large_is_not_read(repo):
    repo.commit({"a": "1"})
    oids = [repo.tag(f"v{size}", message="x" * size) for size in (MAX_SIZE, 10)]
    repo.push("refs/tags/*")
    found = read(repo.server, oids)
    assert [kind for kind, _ in found.values()] == ["tag", "tag"]
    assert found[oids[0]][1] == b""
    with pytest.raises(RefusedError, match="more than 65536 bytes"):
        parse(*found[oids[0]])
    assert parse(*found[oids[1]]).message == "x" * 10


@pytest.mark.parametrize("change", [b"", b"\n"])
def test_the_header(change):
    tag = parse("tag", RAW + change)
    assert (tag.tagger, tag.email, tag.tagged_at, tag.message) == ("Ada L", "ada@example.com", 1_700_000_000, "fine\n\nMode: all")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"object", f"object {'2' * 40}\nobject".encode()),
        (b"type commit\n", b""),
        (b"type commit\n", b"type commit\ntype tree\n"),
        (b"tagger Ada L <ada@example.com> 1700000000 +0100\n", b""),
        (b"+0100\n", b"+0100\nencoding utf-16\n"),
        (b"+0100\n", b"+0100\ngpgsig x\n"),
        (b"1700000000", b"-1"),
        (b"1700000000", b"1" * 30),
        (b"1" * 40, b"1" * 39),
        (b"1" * 40, b"g" * 40),
        (b"<ada@example.com>", b"<a>b>"),
        (b"tag v1", b"tag "),
    ],
)
def test_a_header_that_is_read_in_two_ways_is_none(old, new):
    with pytest.raises(RefusedError, match="malformed"):
        parse("tag", RAW.replace(old, new, 1))


def test_a_sha256_repository_has_longer_names():
    assert parse("tag", RAW.replace(b"1" * 40, b"1" * 64)).target == "1" * 64


def test_the_signature_begins_at_the_last_line_that_begins_one():
    begin = b"-----BEGIN SSH SIGNATURE-----\n"
    first, second = RAW + begin + b"quoted\n", b"-----BEGIN PGP SIGNATURE-----\nreal\n"
    assert split(first + second) == (first, second, "openpgp")
    assert split(RAW) == (RAW, b"", "")
    assert split(RAW + b" " + begin) == (RAW + b" " + begin, b"", "")  # not at the start of its line
    assert parse("tag", first + second).message.endswith("quoted")


@pytest.mark.parametrize(
    ("message", "reason", "found"),
    [
        ("fine", "fine", ()),
        ("fine\n\nMode: all", "fine", (("Mode", "all"),)),
        ("Mode: all", "", (("Mode", "all"),)),
        ("mode :  all \nfine", "fine", (("Mode", "all"),)),
        ("one\n\nVar: a=b: c\nVar: d=\n\ntwo", "one\n\ntwo", (("Var", "a=b: c"), ("Var", "d="))),
        ("Note: well\nhttp://x", "Note: well\nhttp://x", ()),
        ("the Mode: all", "the Mode: all", ()),
        ("", "", ()),
    ],
)
def test_trailers_count_wherever_they_stand(message, reason, found):
    assert trailers(message, KEYS) == (reason, found)
