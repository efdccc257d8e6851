"""What a signed tag demands: its name, its message and its target as a `Demand`, and a demand as the name and message of a tag.

Pure; who signed it and whether they may is judged elsewhere.
"""

import re
from datetime import UTC, datetime
from typing import NamedTuple, assert_never

from agent.errors import RefusedError
from agent.model.control import Answer, Demand, Disable, Enable, Override, Retry, RollBack, Start, Stop
from agent.model.ids import Oid, PipelineName, RefName, StageName
from agent.model.plan import RetryMode
from agent.trust.names import TagName

TRAILERS = ("Action", "Mode", "Abandon", "Var", "Execution", "Expires")
_MEANT = {
    "approve": ("Action", "Execution"),
    "reject": ("Action", "Execution"),
    "stop": ("Abandon", "Execution"),
    "retry": ("Mode", "Execution"),
    "rollback": ("Execution",),
    "override": ("Execution",),
    "start": ("Var",),
}  # beside Expires, which every verb takes
_VARIABLE = re.compile(r"[A-Za-z0-9@_-]{1,128}")  # codepipeline.md 1.5
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
MAX_VARIABLES = 100


class Said(NamedTuple):
    """What a tag says: its name's parts, what it points at, and the trailers of its message."""

    name: TagName
    target: str
    trailers: tuple[tuple[str, str], ...] = ()

    def get(self, key: str) -> str:
        return next((value for name, value in self.trailers if name == key), "")


def check_header(ref: str, header: str, target_type: str) -> None:
    """Raises RefusedError if a tag object was made under another name, or is not at a commit."""
    tag = ref.removeprefix("refs/tags/")
    if header != tag:
        raise RefusedError(f"the signature is for a tag called {header}", hint=f"sign this one: git tag -s {tag} <commit>")
    if target_type != "commit":
        raise RefusedError(f"it points at a {target_type}", hint="tag the commit of the execution itself")


def check_time(tagged_at: int, now: datetime, drift: float) -> None:
    """Raises RefusedError if the tagger's date is too far from the time of receipt, in whatever direction.

    git judges a signature by the tagger's own date, so a key that has expired would sign for ever with a date of long ago.
    """
    seconds = tagged_at - now.timestamp()
    if abs(seconds) <= drift:
        return
    when = "in the future" if seconds > 0 else "ago"
    raise RefusedError(
        f"it is dated {_span(abs(seconds))} {when}, and at most {_span(drift)} are accepted",
        hint="sign it again just before pushing it (git tag -f -s …), and set your clock if that does not help",
    )


def check_expiry(said: Said, now: datetime) -> None:
    """Raises RefusedError if the time that `Expires:` sets is over, or is no time."""
    text = said.get("Expires")
    if not text:
        return
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        hint = "write it as 2026-11-30T12:00:00Z"
        raise RefusedError(f"'Expires: {text}' is no time", hint=hint) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment <= now:
        raise RefusedError(f"it expired at {moment.isoformat()}", hint="sign a new one under another label")


def check_trailers(said: Said) -> None:
    """Raises RefusedError for a trailer that means nothing here, or is given twice."""
    meant = (*_MEANT.get(said.name.verb, ()), "Expires")
    seen: set[str] = set()
    for key, _ in said.trailers:
        if key not in meant:
            raise RefusedError(f"'{key}:' means nothing in a tag of {said.name.verb}", hint=f"it may have {_listed(meant)}")
        if key in seen and key != "Var":
            raise RefusedError(f"'{key}:' is given twice", hint="say it once")
        seen.add(key)


def check_execution(said: Said, execution: str, commit: str, *, bound: bool) -> None:
    """Raises RefusedError unless the tag is at the execution's commit and names no other execution.

    `bound`: it must name it, so that it cannot serve in a second repository with the same commit and number.
    """
    named = said.get("Execution")
    label = f"{said.name.pipeline} #{said.name.number}"
    if said.target != commit:
        raise RefusedError(
            f"it is at {said.target[:12]}, but {label} runs {commit[:12]}",
            hint=f"git tag -s {said.name.text} {commit[:12]} (with -f if you have the tag already)",
        )
    if named and named != execution:
        raise RefusedError(f"it is for execution {named}, but {label} is {execution} here", hint="is this the right repository?")
    if bound and not named:
        raise RefusedError("it does not name the execution", hint=f"add a line to its message: Execution: {execution}")


def demand(said: Said, ref: str = "") -> Demand:
    """What a tag demands; `ref` is what a start runs as. Raises RefusedError for a trailer's value that is none."""
    name = said.name
    pipeline, number, stage = PipelineName(name.pipeline), name.number, StageName(name.stage)
    match name.verb:
        case "approve" | "reject":
            approved = name.verb == "approve"
            return Answer(pipeline=pipeline, number=number, stage=stage, approved=approved, action=said.get("Action"))
        case "stop":
            return Stop(pipeline=pipeline, number=number, abandon=_flag(said.get("Abandon")))
        case "retry":
            return Retry(pipeline=pipeline, number=number, stage=stage, mode=_mode(said.get("Mode")))
        case "rollback":
            return RollBack(pipeline=pipeline, number=number, stage=stage)
        case "override":
            return Override(pipeline=pipeline, number=number, stage=stage)
        case "disable":
            return Disable(pipeline=pipeline, stage=stage)
        case "enable":
            return Enable(pipeline=pipeline, stage=stage)
        case _:
            return Start(pipeline=pipeline, commit=Oid(said.target), ref=RefName(ref), variables=_variables(said))


def name_of(demand: Demand, label: str) -> TagName:
    """How the tag of a demand is called."""
    match demand:
        case Answer(pipeline=pipeline, number=number, stage=stage, approved=approved):
            return TagName("approve" if approved else "reject", pipeline, number, stage, label)
        case Stop(pipeline=pipeline, number=number):
            return TagName("stop", pipeline, number, "", label)
        case Retry(pipeline=pipeline, number=number, stage=stage):
            return TagName("retry", pipeline, number, stage, label)
        case RollBack(pipeline=pipeline, number=number, stage=stage):
            return TagName("rollback", pipeline, number, stage, label)
        case Override(pipeline=pipeline, number=number, stage=stage):
            return TagName("override", pipeline, number, stage, label)
        case Disable(pipeline=pipeline, stage=stage):
            return TagName("disable", pipeline, 0, stage, label)
        case Enable(pipeline=pipeline, stage=stage):
            return TagName("enable", pipeline, 0, stage, label)
        case Start(pipeline=pipeline):
            return TagName("start", pipeline, 0, "", label)
        case _:
            assert_never(demand)


def trailers_of(demand: Demand, execution: str = "") -> tuple[tuple[str, str], ...]:
    """The trailers that say what the name of its tag does not; with `execution` also that one's id."""
    given: list[tuple[str, str]] = []
    match demand:
        case Answer(action=action) if action:
            given.append(("Action", action))
        case Stop(abandon=True):
            given.append(("Abandon", "true"))
        case Retry(mode=mode) if mode is not RetryMode.FAILED_ACTIONS:
            given.append(("Mode", mode.value))
        case Start(variables=variables):
            given += [("Var", f"{name}={value}") for name, value in variables.items()]
        case _:
            pass
    return (*given, *([("Execution", execution)] if execution else []))


def _flag(text: str) -> bool:
    if text.casefold() in {"", "false", "no"}:
        return False
    if text.casefold() in {"true", "yes"}:
        return True
    raise RefusedError(f"'Abandon: {text}' is neither true nor false", hint="Abandon: true ends at once what runs")


def _mode(text: str) -> RetryMode:
    try:
        return RetryMode(text.casefold() or RetryMode.FAILED_ACTIONS)
    except ValueError as error:
        hint = "Mode: failed (as without it), or Mode: all"
        raise RefusedError(f"there is no mode {text}", hint=hint) from error


def _variables(said: Said) -> dict[str, str]:
    given = [value for key, value in said.trailers if key == "Var"]
    if len(given) > MAX_VARIABLES:
        raise RefusedError(f"it sets {len(given)} variables, at most {MAX_VARIABLES} are read")
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not _VARIABLE.fullmatch(name) or _CONTROL.search(value):
            raise RefusedError(f"'Var: {_CONTROL.sub('?', text[:80])}' sets no variable", hint="write Var: NAME=VALUE")
        if name in found:
            raise RefusedError(f"variable {name} is set twice", hint="say it once")
        found[name] = value
    return found


def _span(seconds: float) -> str:
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size or (unit == "minute" and seconds >= size):
            return f"{seconds / size:.0f} {unit}s" if seconds >= 1.5 * size else f"1 {unit}"
    return f"{seconds:.0f} seconds"


def _listed(keys: tuple[str, ...]) -> str:
    return ", ".join(f"{key}:" for key in keys)
