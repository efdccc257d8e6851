"""The words in which people are told how things stand: shared by notes, the feed of a push, and the client."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta

from agent.model.execution import Rollback, TriggerType
from agent.model.outcome import ArtifactRecord, Reason, Status, TestSummary
from agent.model.plan import Group
from agent.results.record import ActionRecord, AnswerRecord, ApprovalRecord, AttemptRecord, Record, StageRecord

_WORDS = {Status.IN_PROGRESS: "In progress"}
_REASONS = {
    Reason.TIMEOUT: "timed out",
    Reason.OUT_OF_MEMORY: "out of memory",
    Reason.STOPPED: "stopped",
    Reason.LOST: "lost: nobody knows how it ended",
    Reason.IMAGE: "the image cannot be had",
    Reason.ENGINE: "the place to run is broken",
    Reason.ARTIFACT: "an artifact is missing",
    Reason.VARIABLE: "a variable is missing",
    Reason.POLICY: "not allowed by the operator",
    Reason.REJECTED: "rejected",
    Reason.EXPIRED: "nobody answered in time",
    Reason.INTERNAL: "a bug of git-pipeline",
}


def word(status: Status | None) -> str:
    """A status as people read it."""
    return "Pending" if status is None else _WORDS.get(status, status.value)


def stage_word(stage: StageRecord) -> str:
    """A stage's status: it waits in front of its door, or for a person."""
    if stage.status is None:
        return "Waiting" if stage.arrived_at else "Pending"
    return "Waiting" if stage.status is Status.IN_PROGRESS and only_waits(stage) else word(stage.status)


def action_word(action: ActionRecord) -> str:
    """An action's status; an approval that nobody gave yet waits."""
    return "Waiting" if is_waiting(action) else word(action.status)


def is_waiting(action: ActionRecord) -> bool:
    """True while people are asked."""
    return action.approval is not None and action.status is Status.IN_PROGRESS


def only_waits(stage: StageRecord) -> bool:
    """True if nothing goes on in a stage but the waiting for people."""
    running = [action for action in stage.actions if action.status is Status.IN_PROGRESS]
    return bool(running) and all(is_waiting(action) for action in running)


def execution_word(record: Record) -> str:
    """An execution's status; it waits if all that goes on in it waits."""
    if record.status is not Status.IN_PROGRESS:
        return word(record.status)
    words = {stage_word(stage) for stage in record.stages if stage.arrived_at and not stage.ended_at}
    return "Waiting" if words == {"Waiting"} else word(record.status)


def duration(span: timedelta | None) -> str:
    """12s, 1m12s, 2h05m, 3d04h; below ten seconds with a tenth: 3.4s. Empty for None."""
    if span is None:
        return ""
    seconds = max(0.0, span.total_seconds())
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit, smaller, size, part in (("d", "h", 86400, 3600), ("h", "m", 3600, 60), ("m", "s", 60, 1)):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // part:02d}{smaller}"
    return f"{whole}s"


def spent(start: datetime | None, end: datetime | None) -> timedelta | None:
    """The time between two moments, if both are known."""
    return end - start if start and end else None


def when(moment: datetime | None) -> str:
    """2026-11-23 12:00 UTC; empty for None."""
    return moment.strftime("%Y-%m-%d %H:%M UTC") if moment else ""


def size(count: int) -> str:
    """812 B, 1.2 MB."""
    number, units = float(count), ["TB", "GB", "MB", "kB", "B"]
    while number >= 999.5 and len(units) > 1:
        number /= 1000
        units.pop()
    return f"{number:.0f} {units[-1]}" if units[-1] == "B" or number >= 99.5 else f"{number:.1f} {units[-1]}"


def many(count: int, noun: str) -> str:
    """1 file, 2 files."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def clean(text: str, limit: int = 200) -> str:
    """Foreign text as one line that cannot play tricks on a terminal: escaped, without line ends, shortened to `limit`."""
    line = " ".join(text.split())
    if not line.isprintable():
        line = "".join(_visible(char) for char in line)
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def line(text: str, limit: int = 200) -> str:
    """A line of a log, as `clean`, but with the white space that it has."""
    shown = "".join(_visible(char) for char in text.rstrip().expandtabs(4))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _visible(char: str) -> str:
    if char == " " or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return char
    return char.encode("unicode_escape").decode()


def place(ref: str) -> str:
    """main, or tag v1.2."""
    return clean(f"tag {ref.removeprefix('refs/tags/')}" if ref.startswith("refs/tags/") else ref.removeprefix("refs/heads/"))


def cause(trigger: TriggerType, ref: str, actor: str, rollback: Rollback | None = None) -> str:
    """Why an execution exists: push to main by alice."""
    by = f" by {clean(actor)}" if actor else ""
    if rollback:
        how = "automatic rollback" if trigger is TriggerType.AUTOMATIC_ROLLBACK else "rollback"
        return f"{how} of {rollback.stage} to #{rollback.target_number}{by}"
    match trigger:
        case TriggerType.SCHEDULE:
            return f"schedule on {place(ref)}"
        case TriggerType.PUSH | TriggerType.TAG:
            return f"push to {place(ref)}{by}" if ref.startswith("refs/heads/") else f"push of {place(ref)}{by}"
        case _:
            return f"started on {place(ref)}{by}"


def why(attempt: AttemptRecord) -> str:
    """Why an attempt did not succeed, in a few words; empty if it did."""
    if attempt.status is None or attempt.status in {Status.SUCCEEDED, Status.IN_PROGRESS}:
        return ""
    if attempt.reason is Reason.EXIT and attempt.exit_code is not None:
        return f"exit code {attempt.exit_code}"
    first = clean(attempt.message.strip().split("\n", 1)[0], 100)
    return first or (_REASONS.get(attempt.reason, attempt.reason.value) if attempt.reason else "")


def tests(summary: TestSummary) -> str:
    """124 tests, 2 failed, 1 skipped."""
    bad = summary.failures + summary.errors
    parts = [many(summary.tests, "test"), f"{bad} failed" if bad else "", f"{summary.skipped} skipped" if summary.skipped else ""]
    return ", ".join(part for part in parts if part)


def artifact(record: ArtifactRecord) -> str:
    """dist (3 files, 1.2 MB)."""
    return f"{record.name} ({many(record.files, 'file')}, {size(record.size)})"


def asked(groups: Iterable[Group]) -> str:
    """Who must agree: qa-lead or ops; 2 of (qa-lead, ops) and security."""
    return " and ".join(_group(group) for group in groups) or "an operator"


def _group(group: Group) -> str:
    if group.count == 1:
        return " or ".join(group.any_of)
    return f"{group.count} of ({', '.join(group.any_of)})"


def question(approval: ApprovalRecord) -> str:
    """approval by qa-lead (not the author of the commit), until 2026-11-30 12:00 UTC."""
    author = " (not the author of the commit)" if approval.not_author else ""
    until = f", until {when(approval.deadline)}" if approval.deadline and approval.deadline.year < 9999 else ""
    return f"approval by {asked(approval.groups)}{author}{until}"


def answer(given: AnswerRecord) -> str:
    """approved by alice: looks fine."""
    said = "approved" if given.approved else "rejected"
    return f"{said} by {clean(given.person)}" + (f": {clean(given.comment)}" if given.comment.strip() else "")


_PLAIN = re.compile(r"[A-Za-z0-9@%+=:,./_-][A-Za-z0-9@%+=:,./_#-]*")


def quoted(text: str) -> str:
    """A word as a shell takes it."""
    return text if _PLAIN.fullmatch(text) else "'" + text.replace("'", "'\\''") + "'"


REJECT = "the same with reject/ in the place of approve/"


def steps(handle: str, stage: str, commit: str, *, action: str = "") -> str:
    """The commands with which a person gives an approval: plain git, ready to paste. `handle` is release#42."""
    tag = f"approve/{handle.replace('#', '/')}/{stage}/$USER"
    which = f" -m {quoted(f'Action: {action}')}" if action else ""
    return f"git tag -s {tag} {commit[:12]} -m 'your comment'{which} && git push origin {tag}"
