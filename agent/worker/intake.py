"""From a push to queued executions, each exactly once: recorded before the refs move, confirmed after, settled when queued.

Whoever comes first settles a push, `post-receive` or the worker, in one transaction; the other finds it settled. What neither
confirmed is told by the refs: one that stands where the push wanted it, and was not seen there before, was moved by it.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from agent.git.command import Git
from agent.model.ids import ExecutionId, Oid, RefName, execution_id
from agent.model.push import Options, Push, RefUpdate
from agent.state import pushes
from agent.state.database import Database
from agent.state.marks import Marks
from agent.state.pushes import Pushes, Recorded
from agent.state.queue import Queue
from agent.trust.names import is_control

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from agent.worker.accepted import Steered
    from agent.worker.admission import Start

UNSETTLED = "unsettled"  # a file beside the database: some push is open, so every further one is recorded
PATIENCE = timedelta(seconds=10)  # a push that was not confirmed for so long is judged by the refs
RIVALRY = timedelta(minutes=1)  # the same move of a ref, recorded twice within so long, was made once


class Started(NamedTuple):
    """An execution that a push has queued."""

    id: str
    pipeline: str
    number: int
    ref: str

    @property
    def label(self) -> str:
        return f"{self.pipeline} #{self.number}"


class Admission(NamedTuple):
    """What a push started, what its control tags ask for, and what its pusher should read about it."""

    started: tuple[Started, ...] = ()
    lines: tuple[str, ...] = ()
    steered: "tuple[Steered, ...]" = ()


class Intake:
    """Takes pushes into the state of one repository. Every method raises EnvironmentFault if git or the database fails."""

    def __init__(self, git: Git, database: Database, clock: Callable[[], datetime]) -> None:
        prepare(git, database)
        self._git = git
        self._database = database
        self._clock = clock
        self._pushes = Pushes(database)
        self._marks = Marks(database)
        self._last = 0
        self._unsettled = f"{database.path.rpartition('/')[0]}/{UNSETTLED}"

    def record(self, push: Push, process: str, trees: Mapping[str, str]) -> None:
        """Before the refs move: remember the push, and the `.pipeline/` tree of each of its new objects.

        `process` names the process of git that receives it, for `take`.
        """
        with self._database.transaction():
            self._add(_Told(push, trees), process, pushes.PENDING)
            os.close(os.open(self._unsettled, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def take(self, push: Push, process: str) -> Admission:
        """After the refs have moved: queue what the push starts, and first what earlier ones on the same refs start.

        Whoever takes it a second time, or after the worker, is told what was queued.
        """
        found = self._pushes.of_process(process) if process else None
        told = _covered(found, push) if found else None
        if not found or not told:
            told = self._unrecorded(push, with_bases=True)
            found = self._add(told, process, pushes.CONFIRMED)
        elif found.state == pushes.DROPPED:
            self._pushes.confirm(found.id, _body(told))
            found = found._replace(state=pushes.CONFIRMED)
        earlier = [self._try(row, _told(row.body)) for row in self._earlier(found.id, told.push)]
        return _together([*earlier, self._settle(found, told)])

    def settle(self) -> Admission:
        """What hooks left open: confirmed pushes, and those of which the refs tell that they happened. For the worker."""
        admissions = []
        for found in self._pushes.open():
            told = _told(found.body)
            if found.state == pushes.CONFIRMED:
                admissions.append(self._try(found, told))
            elif self._is_late(found):
                happened = tuple(self._happened(told.push.updates, found))
                admissions.append(self._try(found, told.only(happened)) if happened else self._drop(found))
        self._pushes.forget_old()
        return _together(admissions)

    def has_open(self) -> bool:
        """Whether `settle` will have something to do, now or in a while."""
        return bool(self._pushes.open())

    def missed(self, pusher: str = "") -> Admission:
        """What the agent was never told of, as it or its hooks were broken: start what the refs that moved since would start."""
        settled = self.settle()
        known = self._marks.refs()
        now = _refs(self._git)
        moved = [(ref, known.get(ref), now.get(ref)) for ref in sorted({*known, *now}) if known.get(ref) != now.get(ref)]
        if not moved:
            return settled
        zero = "0" * len(next(value for _, *values in moved for value in values if value))
        updates = tuple(RefUpdate(Oid(old or zero), Oid(new or zero), RefName(ref), old or "") for ref, old, new in moved)
        push = Push(updates, Options(), pusher, self._clock().isoformat())
        told = self._unrecorded(push)
        return _together([settled, self._settle(self._add(told, "", pushes.CONFIRMED), told)])

    def _unrecorded(self, push: Push, *, with_bases: bool = False) -> "_Told":
        from agent.git import history, tree

        if with_bases:
            push = push._replace(updates=history.with_bases(self._git, push.updates))
        return _Told(push, tree.definition_trees(self._git, starting(push.updates)))

    def _add(self, told: "_Told", process: str, state: str) -> Recorded:
        found = Recorded(self._new_id(), told.push.received_at, process, state, _body(told))
        self._pushes.record(found)
        return found

    def _settle(self, found: Recorded, told: "_Told") -> Admission:
        """Queue what it starts and close it, in one transaction; if somebody else has closed it, say what that one queued."""
        asked, lines = self._starts(told) if found.is_open else ((), ())
        with self._database.transaction():
            steered, more = self._steered(told.push.updates)
            if self._pushes.close(found.id, pushes.SETTLED, _body(told)):
                for start in asked:
                    self._enqueue(found, told.push, start)
                self._marks.saw((update.ref, update.new) for update in told.push.updates)
                self._tidy()
        return Admission(self._started(found.id) if told.has_pipelines else (), (*lines, *more), steered)

    def _steered(self, updates: Iterable[RefUpdate]) -> "tuple[tuple[Steered, ...], tuple[str, ...]]":
        """Ask what the control tags of a push ask."""
        if not any(is_control(update.ref) for update in updates):
            return (), ()
        from agent.worker.accepted import confirm

        return confirm(self._database, updates)

    def _try(self, found: Recorded, told: "_Told") -> Admission:
        """The same, for a push among others: one that cannot be taken in stays open and keeps nobody else back."""
        try:
            return self._settle(found, told)
        except Exception as error:
            return Admission(
                (), (f"the push of {found.received_at} ({found.id}) is not taken in: {type(error).__name__}: {error}",)
            )

    def _starts(self, told: "_Told") -> "tuple[tuple[Start, ...], tuple[str, ...]]":
        if not told.has_pipelines:
            return (), ()
        from agent.worker.admission import starts

        return starts(self._git, self._database, told.push, told.trees)

    def _drop(self, found: Recorded) -> Admission:
        with self._database.transaction():
            self._pushes.close(found.id, pushes.DROPPED)
            self._tidy()
        return Admission()

    def _tidy(self) -> None:
        if not self._pushes.open() and os.access(self._unsettled, os.F_OK):
            os.unlink(self._unsettled)  # noqa: PTH108 - pathlib costs a push milliseconds

    def _enqueue(self, found: Recorded, push: Push, start: "Start") -> None:
        update = start.update
        fields: dict[str, Any] = {
            "id": self._new_id(),
            "pipeline": start.pipeline,
            "commit": start.commit,
            "ref": update.ref,
            "trigger": "tag" if update.tag else "push",
            "created_at": self._clock().isoformat(),
            "previous": update.base if update.is_creation else update.old,
            "actor": push.pusher,
            "variables": start.variables,
        }
        Queue(self._database).enqueue(fields, once=f"{found.id}:{start.pipeline}:{update.ref}")

    def _started(self, push_id: str) -> tuple[Started, ...]:
        return tuple(Started(row.id, row.pipeline, row.number, row.ref) for row in Queue(self._database).of_origin(f"{push_id}:"))

    def _earlier(self, push_id: str, push: Push) -> Iterable[Recorded]:
        """Open pushes that must have happened before this one, as it starts where they ended; oldest first."""
        rows = self._pushes.open()
        place = next((index for index, row in enumerate(rows) if row.id == push_id), 0)
        wanted = {(update.ref, update.old) for update in push.updates}
        earlier = []
        for row in reversed(rows[:place]):
            updates = _told(row.body).push.updates
            if updates and all((update.ref, update.new) in wanted for update in updates):
                wanted |= {(update.ref, update.old) for update in updates}
                earlier.append(row)
        return reversed(earlier)

    def _happened(self, updates: Iterable[RefUpdate], found: Recorded) -> Iterable[RefUpdate]:
        """What an unconfirmed push really moved: the ref stands there now, or a later push began there.

        Not where another push made the very same move at that time: of two, git refused one.
        """
        now = _refs(self._git)
        began = {(u.ref, u.old) for row in self._pushes.open() if row.id != found.id for u in _told(row.body).push.updates}
        at = datetime.fromisoformat(found.received_at)
        rivals = self._pushes.settled_between((at - RIVALRY).isoformat(), (at + RIVALRY).isoformat())
        made = {u[:3] for row in rivals for u in _told(row.body).push.updates}
        for update in updates:
            target = "" if update.is_deletion else update.new
            if update[:3] not in made and (now.get(update.ref, "") == target or (update.ref, update.new) in began):
                yield update

    def _is_late(self, found: Recorded) -> bool:
        return self._clock() - datetime.fromisoformat(found.received_at) >= PATIENCE

    def _new_id(self) -> ExecutionId:
        """Ids of one intake sort in the order in which they were made."""
        self._last = max(self._last + 1, int(self._clock().timestamp() * 1000))
        return execution_id(self._last, os.urandom(10))


def prepare(git: Git, database: Database) -> None:
    """Make a new database go on where the repository stands: its refs count as seen, and numbers follow the published ones."""
    marks = Marks(database)
    if marks.get("prepared"):
        return
    numbers = _published(git)
    refs = _refs(git)
    with database.transaction():
        if marks.get("prepared"):
            return
        queue = Queue(database)
        for pipeline, number in numbers.items():
            queue.count_from(pipeline, number)
        marks.saw(refs.items())
        marks.put("prepared", "yes")


def _refs(git: Git) -> dict[str, str]:
    """Object id by name of all branches and tags."""
    text = git.run("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags").decode(
        errors="surrogateescape"
    )
    found = (line.partition(" ") for line in text.splitlines())
    return {ref: oid for oid, _, ref in found}


def _published(git: Git) -> dict[str, int]:
    """The highest number of each pipeline in the records that stand in the notes."""
    code, listed, _ = git.call("notes", "--ref=refs/notes/pipeline-record", "list")
    blobs = [line.split()[0] for line in listed.splitlines()] if code == 0 else []
    text = git.run("cat-file", "--batch", stdin=b"".join(blob + b"\n" for blob in blobs)) if blobs else b""
    highest: dict[str, int] = {}
    for line in text.splitlines():
        try:
            record = json.loads(line)
            pipeline, number = str(record["pipeline"]), int(record["number"])
        except (ValueError, KeyError, TypeError):
            continue  # a header of cat-file, or a line of somebody else
        highest[pipeline] = max(number, highest.get(pipeline, 0))
    return highest


def _together(admissions: Iterable[Admission]) -> Admission:
    all_of = tuple(admissions)
    return Admission(
        tuple(s for one in all_of for s in one.started),
        tuple(line for one in all_of for line in one.lines),
        tuple(s for one in all_of for s in one.steered),
    )


def starting(updates: Iterable[RefUpdate]) -> list[str]:
    """The new objects of a push whose pipeline files count; control tags start nothing, nor do deleted refs."""
    return [update.new for update in updates if not update.is_deletion and not is_control(update.ref)]


def pushed(body: str) -> Push:
    """The push in the body of its row."""
    return _told(body).push


class _Told(NamedTuple):
    """A push as its row keeps it."""

    push: Push
    trees: Mapping[str, str]

    @property
    def has_pipelines(self) -> bool:
        return any(self.trees.values())

    def only(self, updates: tuple[RefUpdate, ...]) -> "_Told":
        return self._replace(push=self.push._replace(updates=updates))


def _covered(found: Recorded, push: Push) -> _Told | None:
    """The part of a recorded push that did happen, if all of it was announced; git may have refused some of it in between."""
    told = _told(found.body)
    announced = {update[:3]: update for update in told.push.updates}
    happened = tuple(announced.get(update[:3]) for update in push.updates)
    return None if None in happened else told.only(tuple(update for update in happened if update))


def _body(told: _Told) -> str:
    return json.dumps(told)


def _told(body: str) -> _Told:
    (updates, (skip, detach, variables), pusher, received_at), trees = json.loads(body)
    options = Options(skip, detach, tuple((name, value) for name, value in variables))
    return _Told(Push(tuple(RefUpdate(*update) for update in updates), options, pusher, received_at), trees)
