"""Results published with a signed chain, in process: real notes, real tags by people with real keys; and ways to
tamper with them."""

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from agent.config import parse
from agent.execution import events
from agent.git.notes import Notes
from agent.git.reading import Reader
from agent.model.ids import NOTES
from agent.model.outcome import ArtifactRecord
from agent.model.plan import Approval, Group
from agent.results.audit import Standing
from agent.results.chain import Chain, Head
from agent.results.findings import Finding
from agent.results.publish import Publisher
from agent.results.sign import PrivateKey
from agent.results.verify import Clone, verify
from agent.worker.auditing import signers
from agent.worker.signing import policy_of
from tests.support.keys import OPENPGP, Keys
from tests.support.repo import Repo
from tests.support.signing import Signing
from tests.support.stories import NOON, Story, action, plan, stage

PEOPLE, RECORD, LOG = NOTES
DIST = ArtifactRecord(name="dist", digest="ab" * 32, size=3, files=1)
QA = Approval(groups=(Group(any_of=("qa-lead",)),))
RELEASE = plan(stage("build", action("package", secrets={"TOKEN": ""})), stage("sign-off", action("qa", QA)))


class Sealed(Signing, Repo):
    """`key` signs as the agent; `heads` are what its state kept."""

    def __init__(self, root: Path, keys: Keys) -> None:
        super().__init__(root)
        self.keys = keys
        self.key = PrivateKey.generate()
        self.heads: list[Head] = []
        self.config = keys.config
        self.restart()

    def restart(self) -> None:
        """As a new worker would begin."""
        self.notes = Notes(self.bare, sign=self.key.sign_commit)
        self.chain = Chain(self.key, lambda: self.heads[-1] if self.heads else None, self.heads.append, self._published)
        self.publisher = Publisher(self.notes, lambda _: 10_000, lambda: 0.0, self.chain, self.standing)

    def standing(self, _: str) -> Standing:
        return Standing("ab" * 32, self.signers(), self.signers())

    def _published(self) -> Iterator[bytes]:
        return self.notes.history(RECORD)

    def signers(self) -> bytes:
        return signers(policy_of(parse({"config.toml": self.config.encode()}), ""))

    def begun(self, number: int) -> Story:
        """An execution of a commit of its own that waits for QA, as of now."""
        commit = self.commit({"file": str(number)})
        self.push("HEAD:refs/heads/main")
        story = Story(RELEASE, number=number, commit=commit).after((datetime.now(UTC) - NOON).total_seconds())
        story.begin().enter("build").start("build", "package").end("build", "package", artifacts=(DIST,), log_bytes=3)
        self.log(story, b"ok\n")
        return story.leave("build").enter("sign-off").start("sign-off", "qa", days=7)

    def log(self, story: Story, text: bytes) -> None:
        from agent.model.ids import attempt_id

        path = self.logs(story) / f"{attempt_id(story.execution.id, 'build', 'package', 1)}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)

    def answer(self, story: Story, by: str = "alice", verb: str = "approve", message: str = "fine", **more) -> Story:
        """A signed tag of somebody, and the event as the worker would journal it."""
        name = f"{verb}/release/{story.execution.number}/sign-off/{by}"
        tag = self.sign(name, story.execution.commit, by, message)
        self.push(f"refs/tags/{name}")
        told = {"person": by, "approved": verb == "approve", "complete": True, "comment": message, "tag": tag}
        told |= {"fingerprint": self.fingerprint(by), "stage": "sign-off", "action": "qa", **more}
        return story.tell(events.ApprovalAnswered, **told)

    def fingerprint(self, by: str) -> str:
        if by in OPENPGP:
            return self.keys.openpgp(by)
        return self.keys._run("ssh-keygen", "-l", "-f", f"{by}.pub").decode().split()[1]

    def passed(self, number: int, by: str = "alice") -> Story:
        """Approved, ended and published, each on the way."""
        story = self.begun(number)
        self.publish(story)
        self.answer(story, by).end("sign-off", "qa").leave("sign-off").finish()
        self.publish(story)
        return story

    def publish(self, story: Story) -> None:
        self.publisher.publish(story.execution, story.plan, story.state, self.logs(story), story.now)

    def logs(self, story: Story) -> Path:
        return self.root / "executions" / story.execution.id

    def line(self, story: Story) -> bytes:
        lines = (self.note(RECORD, story.execution.commit) or b"").splitlines()
        return next(line for line in lines if story.execution.id.encode() in line)

    def verified(self) -> tuple[Finding, ...]:
        clone = Clone(Reader(self.server), {**self.environment})
        lines = tuple(clone.lines())
        return tuple(verify(clone, lines, [self.key.public], lambda _: True))

    @property
    def wrong(self) -> list[str]:
        """What a verification finds fault with."""
        return [f"{one.place}: {one.words}" for one in self.verified() if not one.good]

    def rewrite(self, ref: str, commit: str, text: bytes, key: PrivateKey | None = None) -> None:
        """Another note, by somebody who can write the repository; with a key signed as the agent would."""
        with Notes(self.bare, sign=key.sign_commit if key else None) as notes:
            notes.edit(ref, {commit: lambda _: text}, "a change\n", datetime.now(UTC))

    def objects(self, *revisions: str) -> list[str]:
        """All objects that some revisions reach."""
        listed = self.git("rev-list", "--objects", *revisions, at=self.bare).splitlines()
        return [line.split()[0] for line in listed]

    def flip(self, oid: str, at: int) -> bytes:
        """Change one bit of an object on the disk, which stays readable; returns the file as it was."""
        path = self.bare / "objects" / oid[:2] / oid[2:]
        former = path.read_bytes()
        head, null, body = zlib.decompress(former).partition(b"\0")
        place = at % len(body)
        self.put(oid, zlib.compress(head + null + body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]))
        return former

    def put(self, oid: str, packed: bytes) -> None:
        path = self.bare / "objects" / oid[:2] / oid[2:]
        path.chmod(0o644)
        path.write_bytes(packed)
