"""Control tags whose refs have moved: what they ask is asked now, once; the pusher sees the answer. For post-receive."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from agent.errors import RefusedError
from agent.model.push import RefUpdate
from agent.state.database import Database
from agent.state.queue import Queue, Row
from agent.state.requests import Request, Requests
from agent.trust.names import TagName, is_control, parse
from agent.worker import wake
from agent.worker.follow import Followed

PAUSE = 0.02  # seconds between two looks for the answer
GRACE = 15.0  # seconds that a worker which was just started may need until it listens
_SAID = {
    "approve": "approved",
    "reject": "rejected",
    "stop": "asked to stop",
    "retry": "asked to retry",
    "rollback": "asked to roll back to",
    "disable": "asked to close the way into",
    "enable": "asked to open the way into",
    "override": "asked to override the condition of",
    "start": "asked to start",
}


class Steered(NamedTuple):
    """An accepted control tag: its request, a line for the pusher, and from where in which feed the rest can be read."""

    request: int
    line: str
    execution: str = ""
    label: str = ""
    start: int = 0


def confirm(database: Database, updates: Iterable[RefUpdate]) -> tuple[tuple[Steered, ...], tuple[str, ...]]:
    """Ask what the tags among these updates ask, in the transaction of the caller; and lines about those that ask nothing."""
    steered, lines = [], []
    for update in updates:
        if not is_control(update.ref) or update.is_deletion or not update.is_creation:
            continue
        feed = _feed(database, update.ref)
        request = Requests(database).confirm(update.new)
        if request is None or _name(update.ref) is None:
            lines.append(_unjudged(update))
        else:
            steered.append(_steered(request, update.ref, *feed))
    return tuple(steered), tuple(lines)


def _unjudged(update: RefUpdate) -> str:
    tag = update.ref.removeprefix("refs/tags/")
    return f"{tag} asks for nothing, as nobody judged it: to ask again, sign another tag"


def _steered(request: Request, ref: str, execution: Row | None, start: int) -> Steered:
    name = parse(ref)
    wish: dict[str, Any] = json.loads(request.body)
    line = f"{_SAID[name.verb]}: {name.subject}; signed by {wish['by']}"
    if execution is None:
        return Steered(request.id, line)
    return Steered(request.id, line, execution.id, f"{execution.pipeline} #{execution.number}", start)


def _feed(database: Database, ref: str) -> tuple[Row | None, int]:
    """The execution that a tag is about, and the end of its feed now: before the worker can know of the tag."""
    name = _name(ref)
    row = Queue(database).by_number(name.pipeline, name.number) if name and name.number else None
    if row is None or (name and name.verb == "rollback"):
        return None, 0
    try:
        path = f"{database.path.rpartition('/')[0]}/executions/{row.id}/feed"
        return row, os.stat(path).st_size  # noqa: PTH116 - pathlib costs a push milliseconds
    except FileNotFoundError:
        return row, 0


def _name(ref: str) -> TagName | None:
    try:
        return parse(ref)
    except RefusedError:
        return None


def answered(
    database: Database,
    steered: Sequence[Steered],
    say: Callable[..., None],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> list[Followed]:
    """Wait for the worker's answers, say those that are no, and return what is to be followed. `clock` counts seconds."""
    directory = database.path.rpartition("/")[0]
    followed: dict[str, Followed] = {}
    seen = clock()
    for one in steered:
        while (request := Requests(database).get(one.request)) and request.state == "open":
            if wake.is_heard(directory):
                seen = clock()
            elif clock() - seen > GRACE:
                say(f"{one.line}: no worker answers; what was accepted is kept, and answered as soon as one can")
                return list(followed.values())
            sleep(PAUSE)
        if request and request.state == "refused":
            say(f"{one.line}, but the state has changed since: {request.answer}")
        elif request:
            for found in _to_follow(database, one):
                followed.setdefault(found.id, found)
    return list(followed.values())


def _to_follow(database: Database, one: Steered) -> Iterable[Followed]:
    if one.execution:
        return (Followed(one.execution, one.label, one.start),)
    rows = Queue(database).of_origin(f"request:{one.request}:")
    return tuple(Followed(row.id, f"{row.pipeline} #{row.number}") for row in rows)
