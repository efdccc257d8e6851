"""`git pipeline verify`, over results that were published in process."""

import hashlib
import json

import pytest

from agent.cli.main import run
from agent.results.sign import PrivateKey
from tests.support.sealed import RECORD, Sealed


@pytest.fixture
def repo(tmp_path, keys, monkeypatch):
    made = Sealed(tmp_path, keys)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("CLICOLOR_FORCE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(made.clone)
    return made


@pytest.fixture
def verify(repo, capfd):
    def verify(*args):
        repo.git("fetch", "-q", "origin", "+refs/notes/*:refs/notes/*")
        code = run(["verify", *map(str, args)])
        return code, *capfd.readouterr()

    return verify


@pytest.fixture
def key(repo):
    """A file with the agent's public key."""
    path = repo.root / "key.pub"
    path.write_text(f"{repo.key.public.line} git-pipeline\n")
    return path


def test_words_and_colour(repo, verify, key, monkeypatch):
    repo.passed(1)
    code, out, _ = verify("--key", key)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == f"the agent's key is {repo.key.public.fingerprint}, as --key says"
    assert lines[-1] == "everything holds"
    assert all(line.startswith("ok  ") for line in lines[1:-1])
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    assert "\x1b[32m" in verify("--key", key)[1]


def test_trust_on_first_use_is_said(repo, verify):
    repo.passed(1)
    code, out, _ = verify()
    assert code == 0
    assert "as the record itself says\nhint: ask the operator" in out
    assert f"git config pipeline.key '{repo.key.public.line}'" in out
    repo.git("config", "pipeline.key", repo.key.public.line)
    assert "as pipeline.key says" in verify()[1]


def test_a_pinned_key_is_not_another_one(repo, verify):
    repo.passed(1)
    repo.git("config", "pipeline.key", PrivateKey.generate().public.line)
    code, out, _ = verify()
    assert code == 1
    assert f"BAD release #1: it was signed by {repo.key.public.fingerprint}" in out


def test_two_keys_after_the_state_was_lost(repo, verify, key):
    repo.passed(1)
    repo.key, former = PrivateKey.generate(), repo.key
    repo.heads.clear()
    repo.restart()
    repo.passed(2)
    assert verify("--key", key)[0] == 1
    key.write_text(f"{former.public.line}\n{repo.key.public.line}\n")
    code, out, _ = verify("--key", key)
    assert (code, "chain: 2 ends" in out) == (0, True)


def test_one_commit_or_execution(repo, verify, key):
    first, second = repo.passed(1), repo.passed(2)
    for words, number in ((first.execution.commit, 1), ("release#2", 2), ("HEAD", 2), (second.execution.id, 2), ("1", 1)):
        code, out, _ = verify(words, "--key", key)
        assert (code, f"release #{number}:" in out, f"release #{3 - number}:" in out) == (0, True, False), words


def test_red_says_where(repo, verify, key):
    story = repo.passed(1)
    repo.rewrite(RECORD, story.execution.commit, repo.note(RECORD, story.execution.commit).replace(b"fine", b"dine"))
    code, out, _ = verify("--key", key)
    assert code == 1
    assert "BAD release #1: it was changed after it was signed" in out
    assert "checks failed" in out


def test_json(repo, verify, key):
    repo.passed(1)
    code, out, _ = verify("--json", "--key", key)
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert all(set(one) == {"place", "good", "words"} and one["good"] for one in found)


def test_artifacts(repo, verify, key, monkeypatch):
    from tests.support import sealed

    file = repo.root / "dist.tar"
    file.write_bytes(b"built")
    digest = hashlib.sha256(b"built").hexdigest()
    monkeypatch.setattr(sealed, "DIST", sealed.ArtifactRecord(name="dist", digest=digest, size=5, files=1))
    repo.passed(1)
    code, out, _ = verify("--key", key, "--artifact", file)
    assert code == 0
    assert "it is release #1 build/package artifact dist" in out
    file.write_bytes(b"bu1lt")
    code, out, _ = verify("--key", key, "--artifact", file)
    assert code == 1
    assert "is no artifact of what was verified" in out


def test_provenance(repo, verify, key):
    repo.passed(1)
    code, out, _ = verify("--key", key, "--provenance", "dist")
    assert code == 0
    assert json.loads(out)["payloadType"] == "application/vnd.in-toto+json"
    code, _, err = verify("--key", key, "--provenance", "nothing")
    assert code == 1
    assert "no artifact called nothing" in err


def test_nothing_there(repo, capfd):
    repo.commit()
    assert run(["verify"]) == 2
    assert "no results of git-pipeline here yet" in capfd.readouterr().err


@pytest.mark.parametrize("text", ["", "no key"])
def test_a_file_that_is_no_key(repo, verify, text):
    repo.passed(1)
    path = repo.root / "wrong"
    path.write_text(text or "x")
    code, _, err = verify("--key", path)
    assert code == 2
    assert "no ed25519 key" in err
