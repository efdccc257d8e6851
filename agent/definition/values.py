"""The kinds of values in a pipeline file: texts, flags, numbers, durations, sizes, names.

YAML's guesses play no part: every scalar arrives as the text that was written, and the key it stands under says what it
means. So `3.10`, `no` and `012` stay what they are where a text is wanted.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from agent.model import quantity
from agent.model.ids import NAME

ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
KEY_NAME = re.compile(r"[A-Za-z0-9@_-]{1,128}")  # variables, outputs, matrix keys, parameters (codepipeline.md 2.9)

SMALLEST = 4 * 1024**2  # bytes; no process starts with less


def problem(code: str, message: str, hint: str = "") -> PydanticCustomError:
    """A mistake in a value, to be raised in a validator; code, message and hint end in the diagnostic."""
    return PydanticCustomError("diagnostic", "{text}", {"code": code, "text": message, "hint": hint})


def found(value: object) -> str:
    """What stands there, in the words of the user."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"{str(value)[:60]!r}"


def text(value: object) -> str:
    """A text as it was written."""
    if isinstance(value, str):
        return value
    hint = "for several lines write `key: |` and the lines below it, indented" if isinstance(value, list) else ""
    raise problem("GP103", f"expected a text, found {found(value)}", hint)


def flag(value: object) -> bool:
    """`true` or `false`, nothing else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in {"true", "false"}:
        return value == "true"
    likely = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(str(value).lower(), "")
    hint = f"YAML readers do not agree on what {value} means; write {likely}" if likely else ""
    raise problem("GP103", f"expected true or false, found {found(value)}", hint)


def whole(value: object) -> int:
    """A whole number in decimal digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?(0|[1-9]\d{0,15})", value, re.ASCII):
        return int(value)
    raise problem("GP103", f"expected a whole number, found {found(value)}")


def number(value: object) -> float:
    """A decimal number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value, re.ASCII):
        return float(value)
    raise problem("GP103", f"expected a number, found {found(value)}")


def duration(value: object) -> timedelta:
    """`90s`, `30m`, `1h30m`, `7d`: at least a second."""
    if isinstance(value, timedelta):
        return value
    result = quantity.duration(value) if isinstance(value, str) else None
    if result is None:
        digits = isinstance(value, str) and value.isdecimal()
        hint = f"say which unit: {value}s, {value}m or {value}h" if digits else "durations look like 90s, 30m, 1h30m or 7d"
        raise problem("GP107", f"expected a duration, found {found(value)}", hint)
    if not result:
        raise problem("GP107", "a duration must be longer than nothing")
    return result


def size(value: object) -> int:
    """Bytes, from `512m` or `2g` (powers of 1024)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    result = quantity.size(value) if isinstance(value, str) else None
    if result is None:
        raise problem("GP108", f"expected a size, found {found(value)}", "sizes look like 512m or 2g")
    if result < SMALLEST:
        raise problem("GP106", f"must be at least 4m, found {found(value)}")
    return result


def many(value: object) -> object:
    """A single text where a list of texts is wanted is a list of one."""
    return (value,) if isinstance(value, str) else value


def matching(pattern: re.Pattern[str], what: str, allowed: str) -> BeforeValidator:
    """A text that matches the whole pattern."""

    def validate(value: object) -> str:
        written = text(value)
        if not pattern.fullmatch(written):
            raise problem("GP109", f"{found(value)} is not a valid {what}", allowed)
        return written

    return BeforeValidator(validate)


Text = Annotated[str, BeforeValidator(text)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(many)]
Flag = Annotated[bool, BeforeValidator(flag)]
Whole = Annotated[int, BeforeValidator(whole)]
Number = Annotated[float, BeforeValidator(number)]
Duration = Annotated[
    timedelta,
    BeforeValidator(duration),
    PlainSerializer(quantity.spell, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+d)?(\d+h)?(\d+m)?(\d+s)?$", "examples": ["30m", "1h30m", "7d"]}),
]
Size = Annotated[
    int,
    BeforeValidator(size),
    WithJsonSchema(
        {"type": ["string", "integer"], "pattern": r"^\d+(\.\d+)?[kKmMgGtT]?([iI]?[bB])?$", "examples": ["512m", "2g"]}
    ),
]
_NAME_RULE = "letters, digits, '.', '_' and '-', at most 100, beginning with a letter or digit"
Name = Annotated[str, matching(NAME, "name", _NAME_RULE)]
EnvironmentName = Annotated[
    str, matching(ENVIRONMENT_NAME, "name of an environment variable", "letters, digits and '_', not beginning with a digit")
]
KeyName = Annotated[str, matching(KEY_NAME, "name", "letters, digits, '@', '_' and '-', at most 128")]
Environment = dict[EnvironmentName, Text]
Options = dict[str, Any]
