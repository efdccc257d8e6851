"""A repository whose executions wait for people, and people with keys who push control tags to it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from agent.config import Config, parse
from agent.execution import events
from agent.model.control import Wish
from agent.model.execution import Execution
from agent.model.ids import execution_id
from agent.model.outcome import Status
from agent.model.plan import Approval, Condition, Group, Plan, Rule
from agent.model.push import RefUpdate
from agent.state.database import Database, open_database
from agent.state.journal import Journal
from agent.state.passes import Passes
from agent.state.queue import Queue
from agent.state.requests import Request, Requests
from agent.state.transitions import Transitions
from agent.worker.requests import Asked
from agent.worker.rollbacks import Rollbacks
from agent.worker.running import Running
from tests.support.installed import Installed
from tests.support.keys import Keys
from tests.support.served import serve
from tests.support.signing import Signing
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
    identity = execution_id(int(datetime.now(UTC).timestamp() * 1000), os.urandom(10))
    story = Story(RELEASE, number=number, id=identity, **fields)
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
    signed_off(story).enter("production")
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


EVERYTHING = (done, asked, failed, closed, in_production, superseded)


class Steering(Signing, Installed):
    """As Installed; `commits` are those of the seeded executions, in their order."""

    def __init__(self, root: Path, keys: Keys, *, config: str = "") -> None:
        super().__init__(root)
        self.keys = keys
        (self.directory / "config.toml").write_text(config or keys.config)
        self.commits: list[str] = []
        self.stories: list[Story] = []

    def seeded(self, *tell: Callable[[Story], Story]) -> "Steering":
        """Executions release #1 and so on, one a commit."""
        for number, story in enumerate(tell or EVERYTHING, 1):
            self.commits.append(self.commit({"file": str(number)}, author="Zoe <zoe@example.com>"))
            self.tell_stories(story(recently(number, commit=self.commits[-1], actor="git@192.0.2.1")))
        self.push("HEAD:refs/heads/main")
        return self

    def tell_stories(self, *stories: Story) -> None:
        """Executions in the state of the server."""
        serve(self.bare, *stories)
        self.stories += stories

    def answered(self) -> tuple[events.Event, ...]:
        """Let the worker's judgement answer what is open; what it journals."""
        with self.database() as database:
            return tuple(_answers(database, parse({"config.toml": (self.directory / "config.toml").read_bytes()})))

    @contextmanager
    def database(self):
        opened = open_database(str(self.directory / "state.db"))
        try:
            yield opened
        finally:
            opened.close()

    def update(self, tag: str) -> RefUpdate:
        """The creation of a tag that the server has."""
        oid = self.git("rev-parse", f"refs/tags/{tag}", at=self.bare)
        return RefUpdate("0" * 40, oid, f"refs/tags/{tag}")

    @property
    def requests(self) -> tuple[Request, ...]:
        """All that the worker would be asked, oldest first."""
        with self.database() as database:
            return Requests(database).open()

    @property
    def wishes(self) -> tuple[Wish, ...]:
        return tuple(msgspec.json.decode(request.body, type=Wish) for request in self.requests)


def _answers(database: Database, config: Config) -> Iterator[events.Event]:
    queue, journal = Queue(database), Journal(database)

    def clock() -> datetime:
        return datetime.now(UTC)

    def new_id():
        return execution_id(int(clock().timestamp() * 1000), os.urandom(10))

    def find(execution) -> Running:
        known = msgspec.json.decode(queue.get(execution).body, type=Execution)
        return Running(known, msgspec.json.decode(queue.plan(execution), type=Plan), journal)

    roles = {name: person.roles for name, person in config.people.items()}
    rollbacks = Rollbacks(queue, Passes(database), clock, new_id)
    asked = Asked(database, queue, Transitions(database), rollbacks, clock, lambda: roles, new_id, journal)
    for running, judged in asked.answer(find):
        running.record(judged)
        yield from judged
