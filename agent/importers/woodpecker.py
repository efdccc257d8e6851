"""Woodpecker (and Drone): a workflow file; each step becomes an action, one after the other. Pure.

Steps share one workspace there; here each action has its own, so what a step leaves for the next one is an artifact.
"""

from typing import Any

from agent.importers.draft import Draft, Fields, name
from agent.importers.reading import Map, document, environment, items, table, text, texts
from agent.importers.script import WOODPECKER_ENV, with_names

_PUSHES = {"push", "manual"}


def convert(path: str, data: bytes) -> Draft:
    """Raises UsageError if it is no workflow."""
    found = document(path, data)
    fields = Fields()
    fields.remark(f"From {path} of Woodpecker by `git pipeline import`; what begins with TODO is left to you.")
    fields.remark(
        "Steps share a workspace there; here each action has its own: files for a later one are `artifacts` and `inputs`."
    )
    fields.put("triggers", _triggers(found, fields))
    services = {called: {"image": text(table(body).get("image"))} for called, body in _named(found.get("services"))}
    stages, taken = [], set[str]()
    steps = _named(found.get("steps") or found.get("pipeline"))
    for called, body in steps:
        taken.add(own := name(called, taken))
        needs = [name(one) for one in texts(body.get("depends_on"))]
        stage = Fields([("name", own)])
        stage.put("needs", needs)
        stage.append(("actions", [_step(own, body, services, found)]))
        stages.append(stage)
    fields.put("stages", stages)
    stem = path.rpartition("/")[2].rpartition(".")[0].lstrip(".")
    return Draft(name("ci" if stem in {"woodpecker", "drone"} else stem), fields)


def _named(value: object) -> list[tuple[str, Map]]:
    """Steps or services, as a mapping by name or as a list with names."""
    if isinstance(value, dict):
        return [(key, table(body)) for key, body in value.items()]
    return [(text(table(body).get("name")) or "step", table(body)) for body in items(value)]


def _triggers(found: Map, fields: Fields) -> list[Any]:
    made: list[Any] = []
    for when in items(found.get("when")):
        one = table(when)
        events = set(texts(one.get("event")))
        branches = one.get("branch")
        patterns = {key: texts(value) for key, value in branches.items()} if isinstance(branches, dict) else texts(branches)
        paths = texts(table(one.get("path")).get("include")) or texts(
            one.get("path") if not isinstance(one.get("path"), dict) else None
        )
        push = Fields()
        push.put("branches", patterns)
        push.put("paths", paths)
        if events & _PUSHES or not events:
            made.append(Fields([("push", push or {})]))
        if "tag" in events:
            made.append(Fields([("push", Fields([("tags", ["*"])]))]))
        for event in sorted(events - _PUSHES - {"tag"}):
            fields.remark(f"TODO: when.event {event} has no counterpart here")
    return made


def _step(called: str, body: Map, services: Map, found: Map) -> Fields:
    made = Fields()
    for key in ("when", "settings", "failure", "privileged", "volumes", "detach"):
        if key in body and not (key == "failure" and body[key] == "ignore"):
            made.remark(f"TODO: {key}: {' '.join(str(body[key]).split())[:80]}")
    made.append(("name", called))
    made.put("image", text(body.get("image")) or "alpine")
    made.append(("network", True))
    secrets: dict[str, str] = {one.upper(): one.upper() for one in texts(body.get("secrets"))}
    env: dict[str, str] = {}
    for key, value in table(body.get("environment")).items():
        secret = text(table(value).get("from_secret"))
        if secret:
            secrets[secret] = key
        elif isinstance(value, str):
            env[key] = value
    env |= environment(body.get("environment")) if isinstance(body.get("environment"), list) else {}
    made.put("env", env)
    made.put("secrets", list(secrets) if all(key == value for key, value in secrets.items()) else secrets)
    made.put("services", services)
    made.put("matrix", {key: texts(value) for key, value in table(found.get("matrix")).items() if key != "include"})
    script = "\n".join(texts(body.get("commands")))
    made.put("run", with_names(script, WOODPECKER_ENV) or 'echo "TODO: a plug-in did this; put its commands here"')
    if body.get("failure") == "ignore":
        made.append(("continue_on_error", True))
    return made
