"""Where in a file references are looked up, and what is known there."""

from enum import Enum
from typing import NamedTuple

from agent.definition.order import Spot

Loc = tuple[str | int, ...]

_TEXTS = frozenset({"image", "hosts", "workdir", "user", "env", "inputs", "artifacts", "cache", "reports", "with"})
_OF_SERVICES = frozenset({"image", "env", "command"})
_OF_APPROVALS = frozenset({"message", "url"})
_OF_DEPLOYMENTS = frozenset({"to", "path", "application", "shared"})
_SCRIPTS_OF_DEPLOYMENTS = frozenset({"before", "start", "stop", "after", "switch"})
_OF_DEFAULTS = frozenset({"image", "workdir", "user"})
_OF_RULES = frozenset({"variable", "with"})
_OF_COMMANDS = frozenset({"image", "env"})


class Kind(Enum):
    """What `${{ }}` is in a place."""

    LOOKED_UP = "looked up"
    MATRIX_ONLY = "the values of the matrix, and nothing else"
    SCRIPT = "a script"
    NOWHERE = "not looked up"


class Scope(NamedTuple):
    """A place: what `${{ }}` is there, the stage and the action it belongs to, and whether the stage's actions have ended."""

    kind: Kind
    stage: int | None = None
    action: int | None = None
    after_actions: bool = False

    @property
    def spot(self) -> Spot | None:
        return (self.stage, self.action) if self.stage is not None and self.action is not None else None


def scope_of(loc: Loc, is_key: bool) -> Scope:
    """The scope of a scalar at a path of the file."""
    match loc:
        case ("stages", int(stage), "actions", int(action), str(key), *rest):
            return Scope(_of_action(key, tuple(rest), is_key), stage, action)
        case ("stages", int(stage), "conditions", str(gate), *rest):
            return Scope(_of_condition(tuple(rest), is_key), stage, None, gate == "on_success")
        case ("stages", int(stage), "env", _) if not is_key:
            return Scope(Kind.LOOKED_UP, stage)
        case ("env", _) if not is_key:
            return Scope(Kind.LOOKED_UP)
        case ("defaults", str(key)) if key in _OF_DEFAULTS and not is_key:
            return Scope(Kind.LOOKED_UP)
    return Scope(Kind.NOWHERE)


def _of_action(key: str, rest: Loc, is_key: bool) -> Kind:
    if key == "run":
        return Kind.SCRIPT
    if key in {"artifacts", "inputs"} and len(rest) == 1 and (is_key or isinstance(rest[0], int)):
        return Kind.MATRIX_ONLY  # the name of an artifact
    if is_key:
        return Kind.NOWHERE
    if key == "inputs" and not rest:
        return Kind.MATRIX_ONLY
    if key == "services":
        part = rest[1] if len(rest) > 1 else ""
        return Kind.SCRIPT if part == "ready" else _if(part in _OF_SERVICES)
    if key == "approval":
        return _if(rest[:1] != () and rest[0] in _OF_APPROVALS)
    if key == "deploy":
        return _of_deployment(rest)
    if key == "artifacts" and rest[1:2] in {("optional",), ("flat",)}:
        return Kind.NOWHERE
    return _if(key in _TEXTS)


def _of_deployment(rest: Loc) -> Kind:
    if rest == ("health", "command") or (len(rest) == 1 and rest[0] in _SCRIPTS_OF_DEPLOYMENTS):
        return Kind.SCRIPT
    return _if(rest == ("health", "url") or (rest[:1] != () and rest[0] in _OF_DEPLOYMENTS))


def _of_condition(rest: Loc, is_key: bool) -> Kind:
    if rest[:1] == ("rules",):
        rest = rest[2:]
    if rest == ("command", "run"):
        return Kind.SCRIPT
    if is_key or not rest:
        return Kind.NOWHERE
    if rest[0] == "command":
        return _if(len(rest) > 1 and rest[1] in _OF_COMMANDS)
    return _if(rest[0] in _OF_RULES and rest[-1] != "operator")


def _if(allowed: bool) -> Kind:
    return Kind.LOOKED_UP if allowed else Kind.NOWHERE
