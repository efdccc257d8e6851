"""When a scheduled pipeline is due. Cron expressions as in Debian's cron, in the time zone of the trigger.

Where clocks jump forward a start in the gap happens right after it; where they are set back it happens once, not twice.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from agent.errors import DefinitionError, EnvironmentFault
from agent.model.trigger import ScheduleTrigger

_STEP = timedelta(minutes=1)  # cron knows nothing shorter


def next_due(trigger: ScheduleTrigger, after: datetime) -> datetime | None:
    """The first due time later than `after`, in UTC; None if there is none within fifty years.

    Raises DefinitionError for a malformed expression, EnvironmentFault for a time zone that this machine does not know.
    """
    for due in _from(trigger, after):
        if due.astimezone(UTC) > after:  # an hour that comes twice is seen as its first one
            return due.astimezone(UTC)
    return None


def due(trigger: ScheduleTrigger, since: datetime, until: datetime) -> datetime | None:
    """The last due time later than `since` and not later than `until`, in UTC, or None; raises as `next_due`.

    Only the last, as a machine that was off over several starts makes up for one of them. Found by bisection, so that a
    long absence costs no more than a short one.
    """
    found, low, high = None, since, until
    while low < high:
        is_narrow = high - low <= _STEP
        middle = low if is_narrow else low + (high - low) / 2
        candidate = next_due(trigger, middle)
        if candidate is not None and candidate <= until:
            found = low = candidate
        elif is_narrow:
            break
        else:
            high = middle
    return found


def _from(trigger: ScheduleTrigger, after: datetime) -> CronSim:
    try:
        return CronSim(trigger.cron, after.astimezone(_zone(trigger.timezone)))
    except CronSimError as error:
        raise DefinitionError(
            f"schedule {trigger.cron!r}: {error}", hint="minute hour day month weekday, as in crontab(5)"
        ) from error


def _zone(name: str) -> tzinfo:
    if name in {"", "UTC"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise EnvironmentFault(
            f"this machine does not know the time zone {name!r}",
            hint="an IANA name such as Europe/Berlin; install tzdata if it is missing",
        ) from error
