"""`git pipeline approve`, `reject` and `approvals` in an ordinary clone, with real keys and a real worker."""

import pytest

BOTH = "approval: {by: [qa-lead], count: 2}"


@pytest.fixture
def repo(in_clone):
    return in_clone


def asked(repo, *actions: str, more: str = "") -> str:
    repo.let("production")
    said = repo.released(repo.stage("sign-off", *(actions or (repo.asked(),))), repo.stage("production"))
    published(repo, "waits for")
    return said


def published(repo, words: str) -> None:
    """The worker writes notes beside its work."""

    def is_there() -> bool:
        note = repo.note("refs/notes/pipeline", repo.head)
        return note is not None and words in note.decode()

    repo.wait(is_there, f"a note with {words}")


def test_approve(repo, call):
    asked(repo)
    code, out, err = call("approve", "1", "-m", "looks fine")
    assert code == 0, err
    assert "approving release #1 sign-off/qa: approval by qa-lead" in out
    assert "sign-off/qa  approved by alice: looks fine" in err
    assert "release #1  succeeded" in err
    tag = repo.git("cat-file", "tag", "refs/tags/approve/release/1/sign-off/alice")
    assert f"looks fine\n\nExecution: {repo.row().id}\n-----BEGIN SSH SIGNATURE" in tag


def test_reject(repo, call):
    asked(repo)
    code, _, err = call("reject", "release#1", "sign-off", "-m", "no")
    assert code == 0
    assert "sign-off/qa  rejected by alice: no" in err
    repo.wait_for("Failed")


def test_a_dry_run_prints_what_a_shell_can_run(repo, call):
    asked(repo)
    code, out, _ = call("approve", "1", "-m", "it's $(fine)", "--dry-run")
    assert code == 0
    assert repo.git("for-each-ref", "refs/tags") == ""
    import subprocess

    done = subprocess.run(["/bin/sh", "-c", out], capture_output=True, env=repo.environment, cwd=repo.clone)
    assert b"approved by alice: it's $(fine)" in done.stderr


def test_which_of_several(repo, call):
    asked(repo, repo.asked(), repo.asked(name="sec"))
    code, _, err = call("approve", "1")
    assert code == 2
    assert "waits for several approvals: sign-off/qa, sign-off/sec" in err
    assert call("approve", "1", "--action", "sec")[0] == 0
    assert "Action: sec" in repo.git("cat-file", "tag", "refs/tags/approve/release/1/sign-off/alice")
    code, _, err = call("approve", "1", "--action", "nothing")
    assert (code, "waits for no nothing" in err) == (2, True)


def test_the_next_label_is_taken(repo, call):
    """Two approvals of one stage by the same person must not stand in each other's way."""
    asked(repo, repo.asked(), repo.asked(name="sec"))
    call("approve", "1", "--action", "sec")
    repo.forget()
    assert call("approve", "1", "--action", "qa")[0] == 0
    assert repo.git("for-each-ref", "--format=%(refname:lstrip=-1)", "refs/tags", at=repo.bare).split() == ["alice", "alice-2"]


def test_a_refusal_leaves_no_tag_in_the_clone(repo, call, keys):
    asked(repo)
    repo.git("config", "user.signingkey", str(keys.root / "mallory.pub"))
    code, _, err = call("approve", "1")
    assert code == 1
    assert "belongs to nobody here" in err
    assert "it is removed from this clone again" in err
    assert repo.git("for-each-ref", "refs/tags") == ""


def test_without_a_key(repo, call):
    asked(repo)
    repo.git("config", "user.signingkey", "/nothing")
    code, _, err = call("approve", "1")
    assert code == 1
    assert "git could not sign the tag" in err
    assert "git config gpg.format ssh" in err


def test_nothing_waits(repo, call):
    repo.let("production")
    repo.released(repo.stage("production"))
    published(repo, "Succeeded")
    code, _, err = call("approve", "1")
    assert code == 1
    assert "release #1 waits for nobody" in err
    code, out, err = call("approvals")
    assert (code, out, "no approval waits" in err) == (0, "", True)


def test_approvals(repo, call):
    asked(repo, repo.asked(BOTH))
    code, out, _ = call("approvals")
    assert code == 0
    assert out.startswith("release #1  sign-off/qa  approval by 2 of (qa-lead), until ")
    assert "git pipeline approve release#1 sign-off" in out
    assert "for you" not in out
    repo.git("config", "pipeline.roles", "ops, qa-lead")
    assert "  for you" in call("approvals", "--mine")[1]
    call("approve", "1", "-m", "one of two")
    published(repo, "one of two")
    _, out, _ = call("approvals")
    assert "approved by alice: one of two" in out
    assert "for you" not in out
    _, out, err = call("approvals", "--mine")
    assert (out, "no approval waits for you" in err) == ("", True)


def test_another_remote(repo, call):
    asked(repo)
    repo.git("remote", "rename", "origin", "server")
    repo.git("remote", "add", "origin", str(repo.root / "nowhere"))
    code, _, err = call("approve", "1", "--remote", "server")
    assert code == 0, err
