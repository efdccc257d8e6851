"""A repository whose executions wait for people, and people with keys who push control tags to it."""

import shutil
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from agent.execution import events
from agent.model.control import Wish
from agent.model.outcome import Status
from agent.model.plan import Approval, Condition, Group, Rule
from agent.state.database import open_database
from agent.state.passes import Pass, Passes
from agent.state.requests import Request, Requests
from tests.support.installed import Installed
from tests.support.keys import Keys
from tests.support.served import serve
from tests.support.stories import NOON, Story, action, plan, stage

QA = Approval(groups=(Group(any_of=("qa-lead",)),), not_author=True)
BOTH = Approval(groups=(Group(any_of=("qa-lead",)), Group(any_of=("ops",))))
WINDOW = Condition(rules=(Rule(provider="window", options={}),))
RELEASE = plan(
    stage("build", action("unit")),
    stage("sign-off", action("qa", QA, timeout=timedelta(days=7))),
    stage("production", action("web"), action("ok", BOTH), action("sec", Approval()), before_entry=WINDOW),
)
OTHER = "triggers: [{push: {tags: ['never']}}]\n"
STARTABLE = OTHER + (
    "variables: {where: {default: earth, choices: [earth, mars]}, need: {description: say it}}\n"
    "stages: [{name: build, actions: [{name: unit, image: some/image, run: make}]}]\n"
)


def recently(number: int, **fields: object) -> Story:
    """A story that was begun an hour ago by the real clock."""
    story = Story(RELEASE, number=number, **fields)
    return story.after((datetime.now(UTC) - NOON).total_seconds() - 3600).begin()


def built(story: Story) -> Story:
    return story.enter("build").start("build", "unit").end("build", "unit").leave("build")


def asked(story: Story) -> Story:
    """It waits for QA."""
    return built(story).enter("sign-off").start("sign-off", "qa", days=7)


def signed_off(story: Story) -> Story:
    told = {"stage": "sign-off", "action": "qa", "person": "carol", "approved": True, "complete": True}
    return asked(story).tell(events.ApprovalAnswered, **told).end("sign-off", "qa").leave("sign-off")


def failed(story: Story) -> Story:
    story.enter("build").start("build", "unit").fail("build", "unit")
    return story.leave("build", Status.FAILED).finish(Status.FAILED)


def closed(story: Story) -> Story:
    """The condition in front of production has failed."""
    signed_off(story).tell(events.StageArrived, stage="production")
    gate = {"stage": "production", "gate": events.Gate.BEFORE_ENTRY, "index": 0}
    story.tell(events.RuleStarting, deadline=story.now, **gate).tell(events.RuleEnded, status=Status.FAILED, **gate)
    return story.leave("production", Status.FAILED).finish(Status.FAILED)


def done(story: Story) -> Story:
    signed_off(story).enter("production").start("production", "web").end("production", "web")
    return story.leave("production").finish()


def in_production(story: Story) -> Story:
    """Two approvals wait, and a script runs."""
    return signed_off(story).enter("production").start("production", "web", "ok", "sec", days=7)


def superseded(story: Story) -> Story:
    return built(story).tell(events.StageArrived, stage="sign-off").finish(Status.SUPERSEDED)


class Steering(Installed):
    """Executions release #1 to #7, one a commit: done, waiting, failed, closed, in_production, superseded, done by mallory."""

    def __init__(self, root: Path, keys: Keys, *, config: str = "") -> None:
        super().__init__(root)
        self.keys = keys
        (self.directory / "config.toml").write_text(config or keys.config)
        self.commits: list[str] = []

    def seeded(self) -> "Steering":
        tell = (done, asked, failed, closed, in_production, superseded)
        stories = []
        for number, story in enumerate(tell, 1):
            self.commits.append(self.commit({"file": str(number)}, author="Zoe <zoe@example.com>"))
            fields = {"commit": self.commits[-1], "actor": "git@192.0.2.1"}
            stories.append(story(recently(number, **fields)))
        self.push("HEAD:refs/heads/main")
        serve(self.bare, *stories)
        with self.database() as database:
            Passes(database).add("release", "production", Pass(stories[0].execution.id, self.commits[0], "2026", False))
        self.stories = stories
        return self

    @contextmanager
    def database(self):
        opened = open_database(str(self.directory / "state.db"))
        try:
            yield opened
        finally:
            opened.close()

    @property
    def requests(self) -> tuple[Request, ...]:
        """All that the worker would be asked, oldest first."""
        with self.database() as database:
            return Requests(database).open()

    @property
    def wishes(self) -> tuple[Wish, ...]:
        return tuple(msgspec.json.decode(request.body, type=Wish) for request in self.requests)

    def sign(
        self, tag: str, commit: str, by: str = "alice", message: str = "fine", *, date: str = "", env: Mapping[str, str] | None = None
    ) -> str:
        """A signed tag in the clone, made by `git tag -s`; its id."""
        words = [word for part in message.split("\n\n") for word in ("-m", part)]
        when = {"GIT_COMMITTER_DATE": date} if date else {}
        settings = {**self.keys.environment(by), **when, **(env or {})}
        self.git(*self.keys.settings(by), "tag", "-f", "-s", *words, tag, commit, env=settings)
        return self.git("rev-parse", f"refs/tags/{tag}")

    def forge(self, tag: str, raw: bytes) -> str:
        """Any bytes as a tag object, and a ref to it in the clone; its id."""
        oid = self.git("hash-object", "-t", "tag", "-w", "--literally", "--stdin", stdin=raw)
        self.point(tag, oid)
        return oid

    def point(self, tag: str, oid: str) -> None:
        """A ref in the clone."""
        path = self.clone / ".git/refs/tags" / tag
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(oid + "\n")

    def forget(self) -> None:
        """Remove all tags of the clone: one may stand in the way of another."""
        shutil.rmtree(self.clone / ".git/refs/tags")
        (self.clone / ".git/refs/tags").mkdir()

    def raw(self, oid: str) -> bytes:
        return self.run("cat-file", "tag", oid).stdout

    def payload(self, tag: str, commit: str, message: str = "fine\n") -> bytes:
        """The bytes of an unsigned tag of now."""
        now = int(datetime.now(UTC).timestamp())
        return f"object {commit}\ntype commit\ntag {tag}\ntagger A <a@example.com> {now} +0000\n\n{message}".encode()

    def tell(self, *tags: str, **more) -> str:
        """Push tags without following; what the pusher read."""
        return self.detached(*(f"refs/tags/{tag}" for tag in tags), **more)


