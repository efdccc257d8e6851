"""What the clock is for: due schedules, pushes that no hook confirmed, deadlines that passed while no worker ran."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from agent.admin.outside import Outside
from agent.errors import AgentError, ConfigError, EnvironmentFault
from agent.git.command import Git, clean_environment
from agent.git.refs import all_refs
from agent.git.tree import definition_trees
from agent.model.ids import ExecutionId
from agent.model.trigger import Entry, ScheduleTrigger
from agent.plan import parameters, schedule
from agent.state.database import Database, open_database
from agent.state.inbox import Inbox
from agent.state.marks import Marks
from agent.state.outbox import Outbox
from agent.state.pushes import Pushes
from agent.state.queue import Queue
from agent.state.requests import Requests
from agent.state.schedules import Schedules
from agent.worker.configured import load_config
from agent.worker.judge import Judged, entries
from agent.worker.places import Directories
from agent.worker.sources import secrets_of
from agent.worker.spawn import wake_or_start
from agent.worker.wake import is_heard

NewId = Callable[[], ExecutionId]
TICKED = "ticked"  # the mark of the last look


def tick(repository: Path, now: datetime, new_id: NewId, python: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Look after one repository once; says what was done. Raises AgentError."""
    home = repository / "pipeline"
    if not repository.exists():
        raise EnvironmentFault("it is gone", hint="take its line off the list, if it is not to come back")
    if not (home / "state.db").exists():
        raise EnvironmentFault("the agent is not installed there", hint=f"git pipeline install {repository}")
    database = open_database(str(home / "state.db"))
    try:
        yield from _catch_up(repository, database, now, new_id, environment)
        yield from start_due(Git(str(repository), clean_environment(environment)), database, now, new_id)
        if _is_needed(database, str(home)):
            if not is_heard(str(home)):
                yield from _broken(repository)
            if wake_or_start(str(home), str(repository), python, environment):
                yield "worker started"
    finally:
        database.close()


def _broken(repository: Path) -> Iterator[str]:
    """What a worker could not say to anybody here; it starts nothing new then, and goes on with the rest."""
    try:
        load_config(Directories(repository))
    except ConfigError as error:
        yield f"nothing new starts: {error}"


def start_due(git: Git, database: Database, now: datetime, new_id: NewId) -> Iterator[str]:
    """Queue what schedules ask for since the last look; a schedule that was missed several times starts once."""
    marks = Marks(database)
    since = datetime.fromisoformat(marks.get(TICKED)) if marks.get(TICKED) else now
    for branch, commit, entry, trigger in _schedules(git, database):
        try:
            due = schedule.due(trigger, since, now)
            variables = parameters.check(entry, ()) if due else {}
        except AgentError as error:
            yield f"schedule {trigger.cron!r} of {entry.pipeline} is not started: {error}"
            continue
        if due and Schedules(database).fire(entry.pipeline, branch, trigger.cron, due.isoformat()):
            number = _enqueue(database, entry, commit, branch, variables, due, now, new_id)
            yield f"{entry.pipeline} #{number} queued by its schedule {trigger.cron!r}"
    marks.put(TICKED, now.isoformat())


def _schedules(git: Git, database: Database) -> Iterator[tuple[str, str, Entry, ScheduleTrigger]]:
    """The schedules in force: those of a branch's own head that name this branch."""
    heads = {ref.removeprefix("refs/heads/"): oid for ref, oid in all_refs(git).items() if ref.startswith("refs/heads/")}
    trees = definition_trees(git, list(heads.values()))
    judged = Judged(git, database)
    for branch, commit in sorted(heads.items()):
        for entry in entries(judged.of(trees.get(commit, ""), commit)):
            for trigger in entry.schedules:
                if trigger.branch == branch:
                    yield branch, commit, entry, trigger


def _enqueue(
    database: Database,
    entry: Entry,
    commit: str,
    branch: str,
    variables: dict[str, str],
    due: datetime,
    now: datetime,
    new_id: NewId,
) -> int:
    fields = {
        "id": new_id(),
        "pipeline": entry.pipeline,
        "commit": commit,
        "ref": f"refs/heads/{branch}",
        "trigger": "schedule",
        "created_at": now.isoformat(),
        "actor": "the schedule",
        "variables": variables,
    }
    _, number = Queue(database).enqueue(fields, once=f"schedule:{entry.pipeline}:{branch}:{due.isoformat()}")
    return number


def _catch_up(
    repository: Path, database: Database, now: datetime, new_id: NewId, environment: Mapping[str, str]
) -> Iterator[str]:
    """Finish webhooks that were taken in and cut short."""
    if Inbox(database).open():
        config = load_config(Directories(repository))
        secrets = secrets_of(repository / "pipeline", config, environment)
        outside = Outside(repository, database, config, secrets, environment, lambda: now, new_id, lambda: None)
        yield from outside.catch_up()


def _is_needed(database: Database, home: str) -> bool:
    """Whether somebody must be woken or started. One that only waits for people or the clock is left in peace."""
    queue = Queue(database)
    if Pushes(database).open() or Requests(database).open() or (Outbox(database).heads() and not is_heard(home)):
        return True
    if is_heard(home):
        return any(row.last_seq == 0 for row in queue.active())
    return bool(queue.active() or queue.unpublished())
