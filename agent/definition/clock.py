"""Whether cron expressions and time zones can be read. The libraries are imported late: few pipelines need them."""

from datetime import UTC, datetime

_LONGEST = 200


def cron_problem(expression: str) -> str:
    """Why this is not a cron expression of five fields, or empty."""
    from cronsim import CronSim, CronSimError

    fields = expression.split()
    if len(expression) > _LONGEST:
        return f"longer than {_LONGEST} characters"
    if len(fields) != 5:
        return f"five fields are needed, it has {len(fields)}"
    try:
        ticks = CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC))
        next(ticks)
    except CronSimError as error:
        return str(error).lower()
    except StopIteration:
        return "no day ever matches"
    except (ValueError, AssertionError):
        return "it cannot be read"
    return ""


def zone_exists(name: str) -> bool:
    """Whether the IANA database knows a time zone."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
