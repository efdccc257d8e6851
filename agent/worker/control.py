"""The verdict on control tags, in pre-receive: signature, person, role, and whether the worker would say yes by the state of now.

What is accepted is kept as a proposed request; `accepted.py` opens it when the ref has moved. No verdict, no effect: a tag that
came into the repository in another way asks for nothing.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

import msgspec

from agent.errors import AgentError, RefusedError, UsageError
from agent.execution.events import Event
from agent.execution.fold import evolve
from agent.git import tags
from agent.git.command import Git
from agent.git.refs import default_branch
from agent.git.tree import definition_trees
from agent.model.control import Demand, Disable, Enable, Start, Wish
from agent.model.execution import Execution
from agent.model.ids import ExecutionId, Oid, PipelineName, RefName
from agent.model.plan import Approval, Plan
from agent.model.push import Push, RefUpdate
from agent.state.database import Database
from agent.state.journal import Journal
from agent.state.passes import Passes
from agent.state.pushes import Pushes
from agent.state.queue import Queue, Row
from agent.state.requests import Requests
from agent.state.transitions import Transitions
from agent.trust import control_tags
from agent.trust.authors import is_author
from agent.trust.control_tags import Said
from agent.trust.names import TagName, is_control, parse
from agent.trust.people import Policy
from agent.trust.policy import require
from agent.worker.inquiry import MOST, Inquiry
from agent.worker.intake import pushed
from agent.worker.judge import entries, verdict
from agent.worker.requests import Asked
from agent.worker.rollbacks import Rollbacks
from agent.worker.running import Running

SHOWN = 10  # refusals that are told
ACCEPTED = "it was accepted once, and every tag counts once"


class Accepted(NamedTuple):
    """A tag that will ask for something as soon as its ref stands."""

    oid: str
    verb: str
    wish: Wish


def judge_tags(
    git: Git, database: Database, push: Push, policy: Policy, now: datetime, inquiry: Inquiry, record: Callable[[], None]
) -> str:
    """Why the control tags of a push cannot be accepted; empty if they can, and then what they ask is kept as proposed.

    `git` sees the objects of the push, `now` is the time of receipt, `inquiry` is about these tags, and begun. `record` is called
    to write what stands or falls with them. Raises AgentError if it cannot be judged: then the push must not go through.
    """
    updates = [update for update in push.updates if is_control(update.ref)]
    if len(updates) > MOST:
        return f"{len(updates)} control tags in one push; at most {MOST} are judged\nhint: push them in parts"
    bench = Bench(git, database, push, policy, now, inquiry)
    accepted, refused = [], []
    for update in updates:
        try:
            accepted.append(bench.judge(update))
        except RefusedError as refusal:
            refused.append(f"{update.ref.removeprefix('refs/tags/')}: {refusal}")
    if refused:
        more = [f"and {len(refused) - SHOWN} more"] if len(refused) > SHOWN else []
        return "\n".join(refused[:SHOWN] + more)
    with database.transaction():
        for one in accepted:
            body = msgspec.json.encode(one.wish).decode()
            Requests(database).propose(now.isoformat(), one.verb, body, one.oid)
        record()
    return ""


class Bench:
    """Judges the control tags of one push, one after the other: each meets the state as those before it would leave it."""

    def __init__(self, git: Git, database: Database, push: Push, policy: Policy, now: datetime, inquiry: Inquiry) -> None:
        self._git = git
        self._database = database
        self._push = push
        self._policy = policy
        self._now = now
        self._inquiry = inquiry
        self._queue = Queue(database)
        self._requests = Requests(database)
        self._docket = _Docket(database, policy, now)
        self._seen: set[str] = set()

    def judge(self, update: RefUpdate) -> Accepted:
        """Raises RefusedError with the reason and what to do."""
        _refuse_to_move(update)
        name = parse(update.ref)
        self._refuse_again(update)
        tag = tags.parse(*self._inquiry.tags[update.new])
        control_tags.check_header(update.ref, tag.name, tag.target_type)
        signer = self._inquiry.signer(update.new, tag)
        control_tags.check_time(tag.tagged_at, self._now, self._policy.drift)
        reason, trailers = tags.trailers(tag.message, control_tags.TRAILERS)
        said = Said(name, tag.target, trailers)
        control_tags.check_trailers(said)
        control_tags.check_expiry(said, self._now)
        require(self._policy, name.verb, signer.person)
        wish = Wish(
            demand=self._demand(said), by=signer.person, reason=reason, tag=update.new, fingerprint=signer.fingerprint,
            is_author=self._is_author(name, signer.person, said.get("Action")),
        )  # fmt: skip
        self._docket.take(wish)
        return Accepted(update.new, name.verb, wish)

    def _refuse_again(self, update: RefUpdate) -> None:
        former = self._requests.of(update.new)
        if (former and former.state != "proposed") or update.new in self._seen:
            raise RefusedError(ACCEPTED, hint="sign a new one under another label")
        self._seen.add(update.new)

    def _demand(self, said: Said) -> Demand:
        name = said.name
        if name.number:
            row = self._row(name)
            control_tags.check_execution(said, row.id, row.commit, bound=self._policy.bound)
            if name.stage and self._queue.plan(row.id) is None:
                raise RefusedError(f"{name.pipeline} #{name.number} has not begun", hint="git pipeline status tells when it has")
            return control_tags.demand(said)
        if name.verb == "start":
            found = control_tags.demand(said, _ref_of(self._git, said.target, self._push.updates) or f"refs/tags/{name.text}")
            assert isinstance(found, Start)
            self._check_start(found)
            return found
        self._check_stage(name, said.target)
        return control_tags.demand(said)

    def _row(self, name: TagName) -> Row:
        row = self._queue.by_number(name.pipeline, name.number)
        if row is None:
            last = self._queue.last_number(name.pipeline)
            hint = f"the last one is #{last}" if last else "git pipeline status lists those there are"
            raise RefusedError(f"there is no execution {name.pipeline} #{name.number} here", hint=hint)
        return row

    def _check_start(self, start: Start) -> None:
        tree = definition_trees(self._git, [start.commit]).get(start.commit, "")
        found = verdict(self._git, self._database, tree, start.commit) if tree else None
        if found and not found.ok:
            raise RefusedError(f"the pipeline files of {start.commit[:12]} are wrong:\n{found.body}")
        known = {entry.pipeline: entry for entry in entries(found)} if found else {}
        if start.pipeline not in known:
            hint = f"it has {', '.join(known)}" if known else "it has no files under .pipeline/"
            raise RefusedError(f"{start.commit[:12]} has no pipeline {start.pipeline}", hint=hint)
        from agent.plan.parameters import check  # the other verbs need not wait for it

        try:
            check(known[start.pipeline], list(start.variables.items()))
        except UsageError as error:
            raise RefusedError(error.message, hint=error.hint) from error

    def _check_stage(self, name: TagName, commit: str) -> None:
        """A transition that nobody ever heard of is a slip of the pen."""
        rows = self._queue.history(pipeline=name.pipeline, limit=20)
        plans = [msgspec.json.decode(body, type=Plan) for row in rows if (body := self._queue.plan(row.id))]
        stages = list(dict.fromkeys(stage.name for plan in plans for stage in plan.stages))
        if plans and name.stage not in stages:
            raise RefusedError(f"pipeline {name.pipeline} has no stage {name.stage}", hint=f"its stages: {', '.join(stages)}")
        if not rows:
            self._check_start(Start(pipeline=PipelineName(name.pipeline), commit=Oid(commit), ref=RefName("")))

    def _is_author(self, name: TagName, person: str, action: str) -> bool:
        if name.verb != "approve":
            return False
        row = self._row(name)
        body = self._queue.plan(row.id)
        plan = msgspec.json.decode(body, type=Plan) if body else None
        asked = [
            planned.work
            for stage in (plan.stages if plan else ())
            for planned in stage.actions
            if stage.name == name.stage and action in {"", planned.name} and isinstance(planned.work, Approval)
        ]
        return any(work.not_author for work in asked) and self._has_a_hand(row, name.stage, person)

    def _has_a_hand(self, row: Row, stage: str, person: str) -> bool:
        """Whether somebody wrote, committed or pushed some of what came since the last execution that passed the stage."""
        passed = Passes(self._database).last(row.pipeline, stage, before=row.id)
        since = passed.commit if passed else ""
        hands = self._inquiry.hands(row.commit, since)
        return is_author(self._policy.person(person), hands.people, self._pushers(row, hands.commits))

    def _pushers(self, row: Row, commits: frozenset[str]) -> set[str]:
        own = msgspec.json.decode(row.body, type=Execution).actor
        others = {
            msgspec.json.decode(other.body, type=Execution).actor
            for other in self._queue.history(pipeline=row.pipeline, limit=1000)
            if other.commit in commits
        }
        pushes = (pushed(found.body) for found in Pushes(self._database).settled_between("", self._now.isoformat()))
        brought = {push.pusher for push in pushes if any(update.branch and update.new in commits for update in push.updates)}
        return {own} | others | brought


class _Docket:
    """The state of executions as the requests before will leave it, in memory."""

    def __init__(self, database: Database, policy: Policy, now: datetime) -> None:
        self._queue, self._journal = Queue(database), Journal(database)
        self._transitions = Transitions(database)
        self._requests = Requests(database)
        self._now = now
        nobody = Rollbacks(self._queue, Passes(database), lambda: now, lambda: ExecutionId(""))
        self._asked = Asked(
            database, self._queue, self._transitions, nobody, lambda: now, lambda: policy.roles, lambda: ExecutionId(""),
            self._journal,
        )  # fmt: skip
        self._running: dict[str, Running] = {}
        self._closed: dict[tuple[str, str], bool] = {}
        self._is_read = False

    def take(self, wish: Wish) -> None:
        """Carry out a wish here, as the worker would. Raises RefusedError as that would."""
        if not self._is_read:
            self._is_read = True
            for request in self._requests.open():
                with suppress(AgentError):  # it will be refused, and leaves the state as it is
                    self._take(msgspec.json.decode(request.body, type=Wish))
        self._take(wish)

    def _take(self, wish: Wish) -> None:
        match wish.demand:
            case Disable(pipeline=pipeline, stage=stage):
                self._closed[pipeline, stage] = True
            case Enable(pipeline=pipeline, stage=stage) if (pipeline, stage) in self._closed:
                if not self._closed[pipeline, stage]:
                    raise RefusedError(f"the transition into {pipeline}/{stage} is open already")
                self._closed[pipeline, stage] = False
            case demand:
                judged = self._asked.examine(wish, self._now, self._find)
                if judged:
                    self._apply(*judged)
                if isinstance(demand, Enable):
                    self._closed[demand.pipeline, demand.stage] = False

    def _apply(self, running: Running, events: Sequence[Event]) -> None:
        for event in events:
            running.state = evolve(running.state, event)

    def _find(self, execution: ExecutionId) -> Running:
        if execution not in self._running:
            row = self._queue.get(execution)
            assert row is not None, execution
            known = msgspec.json.decode(row.body, type=Execution)
            body = self._queue.plan(execution)
            plan = msgspec.json.decode(body, type=Plan) if body else Plan(pipeline=known.pipeline, stages=())
            self._running[execution] = Running(known, plan, self._journal)
        return self._running[execution]


def _refuse_to_move(update: RefUpdate) -> None:
    if update.is_creation and not update.is_deletion:
        return
    what = "deleted" if update.is_deletion else "moved"
    raise RefusedError(
        f"a control tag is never {what}: it is the record of what was decided", hint="to say something else, sign another tag"
    )


def _ref_of(git: Git, commit: str, updates: Sequence[RefUpdate]) -> str:
    """The branch as which a commit is started: one that stands there, else one that contains it, the default branch first."""
    pushed_here = [update.ref for update in updates if update.branch and update.new == commit]
    standing = _branches(git, f"--points-at={commit}")
    known = [*pushed_here, *standing] or _branches(git, f"--contains={commit}")
    default = default_branch(git)
    return default if default in known else known[0] if known else ""


def _branches(git: Git, which: str) -> list[str]:
    code, out, _ = git.call("for-each-ref", which, "--format=%(refname)", "refs/heads")
    return [] if code else out.decode(errors="backslashreplace").splitlines()
