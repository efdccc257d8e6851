"""What starts a pipeline (GP105, GP601 to GP607)."""

from collections.abc import Iterator

from agent.definition.clock import cron_problem, zone_exists
from agent.definition.diagnostics import Diagnostic
from agent.definition.document import Patterns, Push, Schedule, Trigger
from agent.definition.reading import Loc, Reading
from agent.definition.shape import unknown_in
from agent.model.glob import problem

_PARTS = ("branches", "tags", "paths")
_FIELDS = "minute hour day month weekday, such as `0 3 * * 1-5`"


def one_way(reading: Reading) -> Iterator[Diagnostic]:
    """GP105: a trigger is exactly one of push and schedule."""
    for index, trigger in enumerate(reading.pipeline.triggers or ()):
        if trigger.push and trigger.schedule:
            message = "a trigger is `push` or `schedule`; both would have to be true at once"
            yield reading.at("GP105", ("triggers", index), message, "make two items of it: triggers are OR-ed")
        if not trigger.push and not trigger.schedule and not reading.lost & {"push", "schedule", unknown_in(Trigger)}:
            yield reading.at("GP105", ("triggers", index), "a trigger needs `push` or `schedule`")


def tags_alone(reading: Reading) -> Iterator[Diagnostic]:
    """GP601: a push is of a tag or of a branch."""
    for loc, push in _pushes(reading):
        others = [part for part in ("branches", "paths") if getattr(push, part) is not None]
        if push.tags is not None and others:
            message = f"`tags` and `{others[0]}` in one trigger never come true together: a push moves a tag or a branch"
            yield reading.at("GP601", (*loc, "tags"), message, "make two triggers of it: they are OR-ed", on_key=True)


def globs(reading: Reading) -> Iterator[Diagnostic]:
    """GP602: patterns of triggers are globs."""
    for loc, push in _pushes(reading):
        for part, patterns in _patterns(push):
            for kind in ("include", "exclude"):
                for index, glob in enumerate(getattr(patterns, kind)):
                    if wrong := _glob_problem(part, glob):
                        place = (*loc, part, kind, index)
                        yield reading.at("GP602", place, f"{part}: {glob[:60]!r} is not a glob: {wrong[0]}", wrong[1])


def _glob_problem(part: str, glob: str) -> tuple[str, str] | None:
    prefix = {"branches": "refs/heads/", "tags": "refs/tags/"}.get(part, "")
    if prefix and glob.startswith("refs/"):
        return f"{part} are named without {prefix}", f"write '{glob.removeprefix(prefix)}'"
    wrong = problem(glob)
    if wrong is None:
        return None
    negation = glob.startswith("!")
    return wrong, "what is not wanted stands under `exclude`" if negation else ""


def negations(reading: Reading) -> Iterator[Diagnostic]:
    """GP602: a leading ! is no negation here."""
    for loc, push in _pushes(reading):
        for part, patterns in _patterns(push):
            for index, glob in enumerate(patterns.include):
                if glob.startswith("!"):
                    message = f"{part}: '!' does not negate a glob"
                    yield reading.at("GP602", (*loc, part, "include", index), message, f"write exclude: ['{glob[1:]}']")


def crons(reading: Reading) -> Iterator[Diagnostic]:
    """GP603: the expression of a schedule can be read."""
    for loc, schedule in _schedules(reading):
        if wrong := cron_problem(schedule.cron):
            yield reading.at("GP603", (*loc, "cron"), f"{schedule.cron[:60]!r} is not a cron expression: {wrong}", _FIELDS)


def zones(reading: Reading) -> Iterator[Diagnostic]:
    """GP604: the time zone of a schedule is known."""
    for loc, schedule in _schedules(reading):
        if not zone_exists(schedule.timezone):
            message = f"there is no time zone {schedule.timezone[:60]!r}"
            yield reading.at("GP604", (*loc, "timezone"), message, "names are those of IANA, such as Europe/Berlin or UTC")


def scheduled_branches(reading: Reading) -> Iterator[Diagnostic]:
    """GP602: a schedule runs the head of one branch."""
    for loc, schedule in _schedules(reading):
        if any(character in schedule.branch for character in "*?[{\\ ~^:") or not schedule.branch.strip("/"):
            message = f"a schedule runs the head of one branch, and {schedule.branch[:60]!r} is not the name of one"
            yield reading.at("GP602", (*loc, "branch"), message)


def repeated(reading: Reading) -> Iterator[Diagnostic]:
    """GP605: two triggers that say the same."""
    triggers = reading.pipeline.triggers or ()
    for index, trigger in enumerate(triggers):
        if trigger in triggers[:index]:
            line = reading.at("", ("triggers", triggers.index(trigger)), "").span.line
            yield reading.at("GP605", ("triggers", index), f"the trigger in line {line} says the same", "remove one of them")


def never(reading: Reading) -> Iterator[Diagnostic]:
    """GP606: a trigger whose inclusions are all excluded again."""
    for loc, push in _pushes(reading):
        for part, patterns in _patterns(push):
            excluded = {*patterns.exclude}
            if excluded & {"**"} or (patterns.include and {*patterns.include} <= excluded):
                message = f"no {part} are left: an exclusion always wins"
                yield reading.at("GP606", (*loc, part, "exclude"), message, "remove it from `exclude`", on_key=True)


def needed_values(reading: Reading) -> Iterator[Diagnostic]:
    """GP607: a schedule cannot give a value to a variable without a default."""
    required = [name for name, variable in reading.pipeline.variables.items() if variable.default is None]
    for loc, _ in _schedules(reading):
        for name in required:
            message = f"a start by the clock has no value for variable '{name}'"
            yield reading.at("GP607", loc, message, f"give '{name}' a `default`")


def _pushes(reading: Reading) -> Iterator[tuple[Loc, Push]]:
    for index, trigger in enumerate(reading.pipeline.triggers or ()):
        if trigger.push:
            yield ("triggers", index, "push"), trigger.push


def _schedules(reading: Reading) -> Iterator[tuple[Loc, Schedule]]:
    for index, trigger in enumerate(reading.pipeline.triggers or ()):
        if trigger.schedule:
            yield ("triggers", index, "schedule"), trigger.schedule


def _patterns(push: Push) -> Iterator[tuple[str, Patterns]]:
    return ((part, patterns) for part in _PARTS if (patterns := getattr(push, part)) is not None)
