"""What a hook must know of a pipeline to say whether a push starts it."""

from agent.definition import document
from agent.model.trigger import Entry, Patterns, PushTrigger, ScheduleTrigger, Variable

ANY_BRANCH = PushTrigger(branches=Patterns())


def entry(pipeline: document.Pipeline) -> Entry:
    """The entry of a pipeline. Without triggers it is a push to any branch that starts it; an empty list means only people do."""
    triggers = pipeline.triggers
    return Entry(
        pipeline=pipeline.name,
        mode=pipeline.mode,
        pushes=(ANY_BRANCH,) if triggers is None else tuple(_push(one.push) for one in triggers if one.push),
        schedules=tuple(_schedule(one.schedule) for one in triggers or () if one.schedule),
        variables=tuple(
            Variable(name, variable.default, variable.description, variable.choices)
            for name, variable in pipeline.variables.items()
        ),
    )


def _push(push: document.Push) -> PushTrigger:
    """A trigger that asks for no tag is one of branches."""
    branches = _patterns(push.branches)
    if branches is None and push.tags is None:
        branches = Patterns()
    return PushTrigger(branches=branches, tags=_patterns(push.tags), paths=_patterns(push.paths))


def _patterns(patterns: document.Patterns | None) -> Patterns | None:
    return None if patterns is None else Patterns(patterns.include, patterns.exclude)


def _schedule(schedule: document.Schedule) -> ScheduleTrigger:
    return ScheduleTrigger(schedule.cron, schedule.timezone, schedule.branch)
