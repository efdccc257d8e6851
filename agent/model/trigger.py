"""What starts a pipeline. NamedTuples that survive JSON, as the hooks read them from the cache of judged definitions."""

from typing import NamedTuple


class Patterns(NamedTuple):
    """Globs to include and to exclude; an exclusion always wins, no inclusion means everything (codepipeline.md 2.10)."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class PushTrigger(NamedTuple):
    """A push that starts a pipeline: parts are AND-ed, None means "not asked". `tags` and `branches` exclude each other."""

    branches: Patterns | None = None
    tags: Patterns | None = None
    paths: Patterns | None = None


class ScheduleTrigger(NamedTuple):
    """A start by the clock: cron expression, IANA time zone, and the branch whose head runs."""

    cron: str
    timezone: str
    branch: str


class Variable(NamedTuple):
    """A declared pipeline variable. `default` None means that a start must give a value; empty `choices` means any."""

    name: str
    default: str | None = None
    description: str = ""
    choices: tuple[str, ...] = ()


class Entry(NamedTuple):
    """All that a hook must know of one pipeline to say whether a push starts it."""

    pipeline: str
    mode: str
    pushes: tuple[PushTrigger, ...]
    schedules: tuple[ScheduleTrigger, ...]
    variables: tuple[Variable, ...]
