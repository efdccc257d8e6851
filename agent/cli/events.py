"""`git pipeline events`: the journal of the executions, one event a line, as it grows with -f."""

import time
from collections.abc import Callable, Iterator

import click
import msgspec

from agent.cli import asking
from agent.execution.events import Event, ExecutionEnded, RuleEnded, RuleStarting, StageArrived
from agent.execution.fold import evolve, fold
from agent.execution.state import ExecutionState
from agent.model.execution import Execution
from agent.model.plan import Plan
from agent.results import summary
from agent.results.timeline import line_for
from agent.state.database import Database, open_existing
from agent.state.journal import Entry, Journal
from agent.state.queue import Queue

PAUSE = 0.2  # seconds between two looks for new events
PAGE = 1000  # events that are read at once
REMEMBERED = 200  # executions whose state is kept while following

_EVENT: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


@click.command(short_help="the journal of executions, as it grows with -f")
@click.argument("execution", default="")
@click.option(
    "-f", "--follow", "follows", is_flag=True, help="go on with what comes, until Ctrl-C; of one execution until it ends"
)
@click.option("-n", "limit", type=click.IntRange(min=0), default=20, show_default=True, help="how many former events of all")
@click.option("--json", "as_json", is_flag=True, help="the events as they were journalled, one a line")
@click.option("--repo", metavar="REPO.git", help="the bare repository  [default: the one around the current directory]")
def command(execution: str, follows: bool, limit: int, as_json: bool, repo: str | None) -> None:
    """Show what was journalled: all events of EXECUTION (release#42, 42 or an id), or the last ones of all executions."""
    home = asking.home(repo)
    chosen = asking.identified(home, execution).id if execution else ""
    database = open_existing(str(home / "state.db"))
    try:
        for line in told(database, chosen, limit, follows=follows, as_json=as_json, sleep=time.sleep):
            click.echo(line)
    finally:
        database.close()


def told(
    database: Database, execution: str, limit: int, *, follows: bool, as_json: bool, sleep: Callable[[float], None]
) -> Iterator[str]:
    """The lines to show; with `follows` also those to come: of all executions for ever, of one until it has ended."""
    journal, tellers = Journal(database), Tellers(database)
    for entry in _of(journal, execution, follows, sleep) if execution else _of_all(journal, limit, follows, sleep):
        teller = tellers.of(entry)
        event = _EVENT.decode(entry.body)
        yield teller.raw(entry) if as_json else teller.line(event)
        if execution and isinstance(event, ExecutionEnded) and entry.seq == journal.length(execution):
            return


def _of_all(journal: Journal, limit: int, follows: bool, sleep: Callable[[float], None]) -> Iterator[Entry]:
    former = journal.last(limit) if limit else ()
    position = former[-1].position if former else journal.position()
    yield from former
    while follows:
        position = min(position, journal.position())  # what was removed by gc at the end leaves its places to others
        fresh = journal.after(position, PAGE)
        yield from fresh
        position = fresh[-1].position if fresh else position
        if not fresh:
            sleep(PAUSE)


def _of(journal: Journal, execution: str, follows: bool, sleep: Callable[[float], None]) -> Iterator[Entry]:
    seq = 0
    while True:
        for body in journal.read(execution, seq):
            seq += 1
            yield Entry(0, execution, seq, body)
        if not follows:
            return
        sleep(PAUSE)


class Tellers:
    """The tellers of the executions that were last spoken of."""

    def __init__(self, database: Database) -> None:
        self._queue = Queue(database)
        self._journal = Journal(database)
        self._known: dict[str, Teller] = {}

    def of(self, entry: Entry) -> "Teller":
        """The teller of the execution of this event, with all events before it told."""
        teller = self._known.pop(entry.execution, None)
        if teller is None or teller.state.seq != entry.seq - 1:
            before = self._journal.read(entry.execution)[: entry.seq - 1]
            teller = Teller(self._queue, entry.execution, fold(map(_EVENT.decode, before)))
        self._known[entry.execution] = teller
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        return teller


class Teller:
    """Tells the events of one execution in their order."""

    def __init__(self, queue: Queue, execution: str, state: ExecutionState) -> None:
        row = queue.get(execution)
        self._queue = queue
        self._execution = msgspec.json.decode(row.body, type=Execution) if row else None  # None: gc took it just now
        self._plan: Plan | None = None
        self.state = state

    def raw(self, entry: Entry) -> str:
        """One JSON object: whose event it is, and the event as it was journalled."""
        self.state = evolve(self.state, _EVENT.decode(entry.body))
        known = self._execution
        whose = {"pipeline": known.pipeline, "number": known.number} if known else {}
        return msgspec.json.encode(
            {"execution": entry.execution, **whose, "seq": entry.seq, "event": msgspec.Raw(entry.body)}
        ).decode()

    def line(self, event: Event) -> str:
        """Time (UTC), execution, and what happened in words."""
        self.state = evolve(self.state, event)
        label = self._execution.label if self._execution else "?"
        return f"{event.at:%Y-%m-%d %H:%M:%S}  {label}  {self._words(event)}"

    def _words(self, event: Event) -> str:
        if self._execution is None:
            return str(event.__struct_config__.tag)
        lines = line_for(event, self._execution, self._fixed(self._execution), self.state)
        return lines[0].removeprefix(self._execution.label).strip() if lines else _plain(event)

    def _fixed(self, execution: Execution) -> Plan:
        """The plan; it stands beside the journal from the first event on, unless it could not be made."""
        if self._plan is None:
            body = self._queue.plan(execution.id)
            self._plan = msgspec.json.decode(body, type=Plan) if body else None
        return self._plan or Plan(pipeline=execution.pipeline, stages=())


def _plain(event: Event) -> str:
    """An event that pushers are not told of."""
    match event:
        case StageArrived(stage=stage):
            return f"{stage}  arrived"
        case RuleStarting(stage=stage, gate=gate, index=index):
            return f"{stage}  {gate} rule {index + 1} started"
        case RuleEnded(stage=stage, gate=gate, index=index, status=status):
            return f"{stage}  {gate} rule {index + 1} {summary.word(status).lower()}"
        case _:
            return str(event.__struct_config__.tag)
