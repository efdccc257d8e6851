"""The signed record, end to end: real pushes, approvals and artifacts; a clone verifies them without a network, and
sees one bit."""

import json
import shutil
import subprocess
from base64 import b64decode

import pytest

from agent.cli.main import run
from tests.support.signing import Signing
from tests.support.working import CONFIG, Working

NOTES = "refs/notes/*:refs/notes/*"
RECORD = "refs/notes/pipeline-record"


class Audited(Signing, Working):
    """A repository whose operator knows everybody, and an execution that was approved and left an artifact."""

    def __init__(self, root, keys) -> None:
        super().__init__(root)
        self.keys = keys
        self.configure(CONFIG.replace("[local]", f"{keys.config}[local]"))
        self.hurry()

    def story(self, by: str = "alice") -> str:
        """Pushed, built, approved and released; the commit."""
        build = self.action("build", "artifacts: {dist: [dist.txt]}").replace("exit", "echo built > dist.txt\n          exit")
        approval = "      - name: qa\n        approval: {by: [qa-lead]}\n"
        for name in ("build", "production"):
            self.let(name)
        self.commit({".pipeline/release.yaml": "stages:\n" + self.stage("build", build)
                     + self.stage("sign-off", approval) + self.stage("production")})  # fmt: skip
        self.push()
        number = self.executions[-1].number
        self.sign(f"approve/release/{number}/sign-off/{by}", "HEAD", by, "looks fine")
        self.push(f"refs/tags/approve/release/{number}/sign-off/{by}")
        self.wait_for("Succeeded", number)
        self.wait(lambda: b'"status":"Succeeded","message"' in (self.note(RECORD, self.head) or b""), "published")
        return self.head

    def fetch(self) -> None:
        self.wait(lambda: not self.workers, "the worker has left")
        self.git("fetch", "-q", "origin", f"+{NOTES}", "refs/tags/*:refs/tags/*")

    @property
    def line(self) -> dict:
        return json.loads(self.note(RECORD, self.head).splitlines()[-1])


@pytest.fixture
def repo(tmp_path, keys, monkeypatch):
    made = Audited(tmp_path, keys)
    monkeypatch.chdir(made.clone)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    yield made
    made.end()


@pytest.fixture
def verify(capfd):
    def verify(*args):
        code = run(["verify", *map(str, args)])
        out, err = capfd.readouterr()
        return code, out + err

    return verify


def test_a_clone_verifies_offline_and_sees_what_was_changed(repo, verify):
    for by in ("alice", "carol", "grace", "frank"):
        repo.story(by)
    repo.fetch()
    repo.bare.rename(repo.root / "unplugged.git")
    try:
        code, said = verify("--key", repo.root / "unplugged.git" / "pipeline" / "key.pub")
    finally:
        (repo.root / "unplugged.git").rename(repo.bare)
    assert code == 0, said
    assert "chain: 4 ends of executions" in said
    for by in ("alice", "carol", "grace", "frank"):
        assert f"approved by {by}: tag" in said
        assert f"enough of those asked agreed: {by}" in said
    assert "artifact dist: sha256:" in said
    assert "everything holds" in said
    assert verify(repo.head)[0] == verify("release#1")[0] == 0
    # the notes commits are what plain git verifies, too
    signers = repo.root / "allowed"
    signers.write_text("agent " + (repo.bare / "pipeline" / "key.pub").read_text())
    settings = ("-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={signers}")
    shown = repo.run(*settings, "log", "--show-signature", "--format=%G?", RECORD)
    assert set(shown.stdout.decode().split()) >= {"G"}
    assert shown.stdout.count(b'Good "git" signature for agent') == int(repo.git("rev-list", "--count", RECORD))
    # and so is a line
    line = repo.note(RECORD, repo.head).splitlines()[-1]
    signature = json.loads(line)["signature"]
    (repo.root / "sig").write_text(f"-----BEGIN SSH SIGNATURE-----\n{signature}\n-----END SSH SIGNATURE-----\n")
    how = ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", "agent", "-n", "git-pipeline-record", "-s", repo.root / "sig"]
    subprocess.run(how, input=line.replace(signature.encode(), b""), check=True, capture_output=True)


def test_somebody_rewrites_a_result_in_the_clone(repo, verify):
    repo.story()
    repo.fetch()
    key = repo.bare / "pipeline" / "key.pub"
    assert verify("--key", key)[0] == 0
    text = repo.git("notes", f"--ref={RECORD}", "show", "HEAD")
    repo.git("notes", f"--ref={RECORD}", "add", "-f", "-m", text.replace("looks fine", "looks bad"), "HEAD")
    code, said = verify("--key", key)
    assert code == 1
    assert "BAD release #1: it was changed after it was signed" in said
    assert "BAD refs/notes/pipeline-record: commit" in said


def test_what_the_record_says_of_the_operator(repo):
    """Who pushed, by which policy, whose keys counted; and no key or secret of the server."""
    repo.environment["GL_USER"] = "zoe"  # as gitolite tells who pushes
    repo.story()
    told = repo.line
    assert len(told["policy"]) == len(told["signers"]) == 64
    assert told["actor"] == "zoe"
    signers = json.loads(repo.git("cat-file", "blob", f"refs/notes/pipeline-signers:{told['signers'][:40]}", at=repo.bare))
    alice = next(person for person in signers["people"] if person["name"] == "alice")
    assert alice["keys"] == [repo.keys.public("alice")]
    assert "PRIVATE KEY" not in json.dumps(told)
    note = repo.note("refs/notes/pipeline", repo.head).decode()  # and in words, for a person
    assert "(push to main by zoe)" in note
    assert "approved by alice: looks fine" in note
    assert f"by policy {told['policy'][:12]} of the operator" in note
    payload = json.loads(b64decode(json.loads(repo.note("refs/notes/pipeline-provenance", repo.head))["envelope"]["payload"]))
    assert payload["predicate"]["buildDefinition"]["internalParameters"]["policy"] == told["policy"]


def test_a_state_that_was_lost_and_made_again(repo, verify):
    """The chain goes on; the new key is another one, and an auditor must be told of it."""
    repo.story()
    repo.wait(lambda: not repo.workers, "the worker has left")
    former = (repo.bare / "pipeline" / "key.pub").read_text()
    config = (repo.directory / "config.toml").read_text()
    shutil.rmtree(repo.directory)
    repo.install()
    repo.configure(config)
    repo.story("carol")
    repo.fetch()
    keys = repo.root / "keys.pub"
    keys.write_text(former)
    assert verify("--key", keys)[0] == 1
    keys.write_text(former + (repo.bare / "pipeline" / "key.pub").read_text())
    code, said = verify("--key", keys)
    assert code == 0, said
    assert "chain: 2 ends of executions" in said
