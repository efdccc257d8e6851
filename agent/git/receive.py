"""What a hook is told of a push: its standard input, the push options, and who pushes. The hooks import this."""

import re
from collections.abc import Mapping

from agent.errors import UsageError
from agent.model.ids import Oid, RefName
from agent.model.push import Options, Push, RefUpdate

MAX_OPTIONS = 100  # options that are ours
MAX_LENGTH = 4096  # characters of one of them

_OURS = "pipeline."
_KNOWN = "pipeline.skip, pipeline.detach, pipeline.var.NAME=VALUE"
_NAME = re.compile(r"[A-Za-z0-9@_-]{1,128}")  # codepipeline.md 1.5
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # C0, C1, and what was not UTF-8
_WHO = 200  # characters of the pusher's name


def read_push(text: bytes, environ: Mapping[str, str], received_at: str) -> Push:
    """The push that a hook's standard input and environment describe; every `base` is still empty.

    Raises UsageError for a push option that starts with `pipeline.` and is not ours, is too long, or has control characters.
    A ref name that is not UTF-8 carries its odd bytes as \\xNN.
    """
    updates = tuple(_update(line) for line in text.splitlines() if line)
    return Push(updates, _options(environ), pusher(environ), received_at)


def pusher(environ: Mapping[str, str]) -> str:
    """Who pushes, as far as the transport tells; empty if it does not. A hint for people: decisions rest on signatures.

    gitolite and web servers name the person. Over ssh the account may be shared, so the address goes with it.
    """
    name = environ.get("GL_USER") or environ.get("REMOTE_USER") or ""
    if not name and not environ.get("GATEWAY_INTERFACE"):
        name = environ.get("USER") or environ.get("LOGNAME") or ""
        address = (environ.get("SSH_CONNECTION") or environ.get("SSH_CLIENT") or "").split(" ")[0]
        name = f"{name}@{address}" if address else name
    return _CONTROL.sub("", name)[:_WHO]


def _update(line: bytes) -> RefUpdate:
    old, new, ref = line.decode(errors="backslashreplace").split(" ", 2)
    return RefUpdate(Oid(old), Oid(new), RefName(ref))


def _options(environ: Mapping[str, str]) -> Options:
    """Ours among the push options; those of others are not our business."""
    count = environ.get("GIT_PUSH_OPTION_COUNT", "")
    given = (environ.get(f"GIT_PUSH_OPTION_{index}", "") for index in range(int(count) if count.isdecimal() else 0))
    ours = [option for option in given if option.startswith(_OURS)]
    if len(ours) > MAX_OPTIONS:
        raise UsageError(f"{len(ours)} push options start with {_OURS}; at most {MAX_OPTIONS} are read")
    flags = {option: option in {"pipeline.skip", "pipeline.detach"} for option in ours}
    variables = tuple(_variable(option) for option in ours if not flags[option])
    return Options(flags.get("pipeline.skip", False), flags.get("pipeline.detach", False), variables)


def _variable(option: str) -> tuple[str, str]:
    """Name and value. The same name twice is passed on: whoever knows the declarations judges values (plan/parameters.py)."""
    shown = _CONTROL.sub("?", option[:80])
    if not option.startswith("pipeline.var."):
        raise UsageError(f"unknown push option {shown}", hint=f"there are {_KNOWN}")
    name, equals, value = option.removeprefix("pipeline.var.").partition("=")
    if not equals:
        raise UsageError(f"push option {shown} gives no value", hint="write -o pipeline.var.NAME=VALUE")
    if not _NAME.fullmatch(name):
        raise UsageError(f"push option {shown}: the name of a variable is letters, digits, _, @ and -, at most 128")
    if len(option) > MAX_LENGTH:
        raise UsageError(f"push option pipeline.var.{name} has {len(option)} characters; at most {MAX_LENGTH} are read")
    if _CONTROL.search(value):
        raise UsageError(f"push option pipeline.var.{name} has control characters, or is not UTF-8")
    return name, value
