"""Durations and sizes as people write them, in pipeline files and in the operator's: 90s, 30m, 1h30m, 7d; 512m, 2g."""

import re
from datetime import timedelta

_DURATION = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", re.ASCII)
_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,3})?)([kmgt]?)(?:i?b)?", re.ASCII | re.IGNORECASE)
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


def duration(text: str) -> timedelta | None:
    """What a text says; None if it says no duration. `0s` is one."""
    parts = _DURATION.fullmatch(text)
    if not text or parts is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def spell(value: timedelta) -> str:
    """A duration as a file says it."""
    rest = int(value.total_seconds())
    parts = []
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, seconds)
        parts.append(f"{count}{unit}" if count else "")
    return "".join(parts) or "0s"


def size(text: str) -> int | None:
    """Bytes (powers of 1024); None if the text says no size."""
    parts = _SIZE.fullmatch(text)
    return int(float(parts[1]) * _UNITS[parts[2].lower()]) if parts else None
