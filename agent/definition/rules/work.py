"""What an action does, and where (GP105, GP111, GP801 to GP805)."""

from collections.abc import Iterator
from datetime import timedelta

from agent.definition.diagnostics import Diagnostic
from agent.definition.document import Action, Pipeline
from agent.definition.expand import KINDS
from agent.definition.reading import Placed, Reading
from agent.definition.shape import unknown_in
from agent.model.quantity import spell

_PLACE = frozenset({"image", "hosts", "runner", "shell", "workdir", "user", "network", "resources", "services"})
_RUN_ONLY = _PLACE | {"cache", "reports"}
_CONTAINER_ONLY = ("services", "network", "user", "image")
_NOT_APPROVAL = frozenset({"inputs", "artifacts", "outputs", "secrets", "env", "matrix", "retries", "timeout", "namespace"})
_SHORTEST, _LONGEST = timedelta(minutes=5), timedelta(days=60)


def kinds(action: Action) -> tuple[str, ...]:
    """The kinds of work that an action names."""
    return tuple(kind for kind in KINDS if getattr(action, kind) is not None)


def one_kind(reading: Reading) -> Iterator[Diagnostic]:
    """GP105: an action is exactly one of run, buildspec, approval, deploy, uses (or use)."""
    for placed in reading.actions:
        named = kinds(placed.action)
        if len(named) > 1:
            message = f"action '{placed.action.name}' has {_and(named)}; an action is exactly one of them"
            yield reading.at("GP105", (*placed.loc, named[1]), message, "make two actions of it", on_key=True)
        if not named and not reading.lost & {*KINDS, "use", unknown_in(Action)}:
            message = f"action '{placed.action.name}' says nothing to do"
            hint = "give it `run`, `buildspec`, `approval`, `deploy`, `uses` or `use`"
            yield reading.at("GP105", (*placed.loc, "name"), message, hint)


def meaningless_keys(reading: Reading) -> Iterator[Diagnostic]:
    """GP111: keys that have no meaning for this kind of action."""
    for placed in reading.actions:
        named = kinds(placed.action)
        if len(named) != 1:
            continue
        for key in sorted(placed.action.model_fields_set & _wrong_keys(named[0])):
            written = "with" if key == "options" else key
            message = f"'{written}' has no meaning for an action with `{named[0]}`"
            yield reading.at("GP111", (*placed.loc, written), message, _instead(named[0], key), on_key=True)


def _wrong_keys(kind: str) -> frozenset[str]:
    wrong = frozenset({"options"}) if kind != "uses" else frozenset[str]()
    if kind not in {"run", "buildspec"}:
        wrong |= _RUN_ONLY
    return wrong | _NOT_APPROVAL if kind == "approval" else wrong


def _instead(kind: str, key: str) -> str:
    if kind == "approval" and key == "timeout":
        return "the time for the decision stands in it: approval: {timeout: 7d}"
    if key == "options":
        return "`with` belongs to `uses` and `use`"
    return "options of the provider stand under `with`" if kind == "uses" else "remove it"


def approval_timeouts(reading: Reading) -> Iterator[Diagnostic]:
    """GP801: an approval waits 5 minutes to 60 days (codepipeline.md 1.7)."""
    for placed in reading.actions:
        approval = placed.action.approval
        if approval and not _SHORTEST <= approval.timeout <= _LONGEST:
            message = f"an approval waits 5m to 60d, not {spell(approval.timeout)}"
            yield reading.at("GP801", (*placed.loc, "approval", "timeout"), message)


def approval_groups(reading: Reading) -> Iterator[Diagnostic]:
    """GP802: people are named in `by`, or in `groups`."""
    for placed in reading.actions:
        approval = placed.action.approval
        if approval and approval.groups and approval.model_fields_set & {"by", "count"}:
            message = "`groups` says who decides, and so do `by` and `count`"
            yield reading.at("GP802", (*placed.loc, "approval", "groups"), message, "keep `groups` alone", on_key=True)


def places(reading: Reading) -> Iterator[Diagnostic]:
    """GP803: keys of containers, hosts and the agent's machine do not mix."""
    for placed in reading.actions:
        if placed.action.run is None:
            continue
        runner = _runner(reading.pipeline, placed.action)
        if placed.action.hosts and runner != "ssh":
            message = f"`hosts` run over SSH, but `runner` is {runner}"
            yield reading.at("GP803", (*placed.loc, "runner"), message, "leave `runner` out", on_key=True)
        if runner not in {"ssh", "local"}:
            continue
        for key in _CONTAINER_ONLY:
            if key in placed.action.model_fields_set and getattr(placed.action, key):
                where = "on hosts" if runner == "ssh" else "on the agent's own machine"
                message = f"'{key}' belongs to containers, but this action runs {where}"
                yield reading.at("GP803", (*placed.loc, key), message, _where_hint(placed.action), on_key=True)


def _where_hint(action: Action) -> str:
    return "a container has no `hosts`" if action.hosts else "a container has no `runner: local`"


def nowhere(reading: Reading) -> Iterator[Diagnostic]:
    """GP804: a script with nowhere to run."""
    for placed in reading.actions:
        if placed.action.run is None or reading.lost & {"image", "hosts", "runner", "defaults", unknown_in(Action)}:
            continue
        runner = _runner(reading.pipeline, placed.action)
        if runner == "docker" and not (placed.action.image or reading.pipeline.defaults.image):
            hint = 'write `image: "debian:12"`, here or under `defaults`; or `hosts`, or `runner: local`'
            yield _nowhere(reading, placed, "no image to run in", hint)
        if runner == "ssh" and not placed.action.hosts:
            yield _nowhere(reading, placed, "no hosts to run on", "write `hosts: <group>`")


def _nowhere(reading: Reading, placed: Placed, what: str, hint: str) -> Diagnostic:
    return reading.at("GP804", (*placed.loc, "run"), f"action '{placed.action.name}' has {what}", hint, on_key=True)


def empty_scripts(reading: Reading) -> Iterator[Diagnostic]:
    """GP805: a script without a command."""
    for placed in reading.actions:
        if placed.action.run is not None and not placed.action.run.strip():
            yield reading.at("GP805", (*placed.loc, "run"), f"the script of action '{placed.action.name}' is empty", on_key=True)


def _runner(pipeline: Pipeline, action: Action) -> str:
    return action.runner or ("ssh" if action.hosts else pipeline.defaults.runner or "docker")


def _and(words: tuple[str, ...]) -> str:
    quoted = [f"`{word}`" for word in words]
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"
