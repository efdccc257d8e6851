"""The report: one HTML page that needs nothing else, neither a server nor a script, and reads well on a phone and in the dark."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from agent.model.ids import attempt_id
from agent.results import summary
from agent.results.record import ActionRecord, AttemptRecord, Record, StageRecord
from agent.results.report.bars import Row, rows
from agent.results.report.history import History, histories

HERE = Path(__file__).parent
TREND = 60  # executions that the chart of a history shows
LOWEST = 6  # percent: the height of the shortest execution in it

Logs = Mapping[str, bytes]  # by attempt id


class Shown(NamedTuple):
    """An execution with its details. `graph` is an SVG of ours, or empty; `logs` are readable text (results/lognote.py)."""

    record: Record
    subject: str = ""
    graph: str = ""
    logs: Logs = {}


class _Detail(NamedTuple):
    record: Record
    subject: str
    graph: Markup
    rows: tuple[Row, ...]


def page(title: str, shown: Sequence[Shown], records: Sequence[Record], committed: Mapping[str, datetime], made: datetime) -> str:
    """The page: the details of `shown`, then the history of `records`. `committed`: when commits were made, if known."""
    template = _environment(_texts(shown)).get_template("page.html")
    return template.render(
        title=title,
        style=Markup((HERE / "style.css").read_text()),
        shown=[_Detail(one.record, one.subject, Markup(one.graph), rows(one.record)) for one in shown],
        histories=histories(records, committed),
        details=frozenset(one.record.id for one in shown),
        made=made,
    )


def _texts(shown: Sequence[Shown]) -> Callable[[Record, StageRecord, ActionRecord, AttemptRecord], str]:
    kept = {one.record.id: one.logs for one in shown}

    def text(record: Record, stage: StageRecord, action: ActionRecord, attempt: AttemptRecord) -> str:
        name = attempt_id(record.id, stage.name, action.name, attempt.attempt)
        return kept[record.id].get(name, b"").decode(errors="replace")

    return text


def _environment(logs: Callable[..., str]) -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE), autoescape=select_autoescape(["html"]), undefined=StrictUndefined, trim_blocks=True
    )
    made.globals["logs"] = logs
    made.filters |= {
        "anchor": lambda record: f"execution-{record.id}",
        "css": lambda word: word.replace(" ", "-"),
        "cause": lambda record: summary.cause(record.trigger, record.ref, record.actor, record.rollback),
        "took": _took,
        "trend": _trend,
        **{name: getattr(summary, name) for name in ("duration", "when", "many", "tests", "artifact", "question", "answer")},
        **{name: getattr(summary, name) for name in ("execution_word", "stage_word", "action_word", "why", "place")},
    }
    return made


def _took(one: Record | ActionRecord) -> str:
    return summary.duration(summary.spent(one.started_at, one.ended_at))


def _trend(history: History) -> list[tuple[Record, int]]:
    """The last executions, oldest first, each with a height in percent of the longest."""
    last = history.records[:TREND][::-1]
    seconds = [span.total_seconds() if (span := summary.spent(one.started_at, one.ended_at)) else 0.0 for one in last]
    longest = max(seconds, default=0.0) or 1.0
    return [(one, max(LOWEST, round(took / longest * 100))) for one, took in zip(last, seconds, strict=True)]
