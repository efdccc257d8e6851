"""GitHub Actions: a workflow file; a job becomes an action whose steps are one script. Pure."""

import re
from collections.abc import Iterator
from typing import Any

from agent.importers import script
from agent.importers.draft import Draft, Fields, Value, name
from agent.importers.reading import Map, document, environment, items, table, text, texts

_IMAGES = {
    "setup-python": ("python", "python-version", "-slim", "3.12"),
    "setup-node": ("node", "node-version", "-slim", "22"),
    "setup-go": ("golang", "go-version", "", "1.23"),
    "setup-java": ("eclipse-temurin", "java-version", "-jdk", "21"),
    "setup-ruby": ("ruby", "ruby-version", "", "3.3"),
}
_DROPPED = {"checkout"}  # the commit is there
_MATRIX = re.compile(r"\$\{\{\s*matrix\.([A-Za-z0-9_-]+)\s*\}\}")


def convert(path: str, data: bytes) -> Draft:
    """Raises UsageError if it is no workflow."""
    found = document(path, data)
    fields = Fields()
    stem = path.rpartition("/")[2].rpartition(".")[0]
    fields.remark(f"From {path} of GitHub Actions by `git pipeline import`; what begins with TODO is left to you.")
    fields.put("triggers", list(_triggers(found.get("on") or found.get("true"), fields)))
    plain_env = {key: value for key, value in environment(found.get("env")).items() if "${{" not in value}
    fields.put("env", plain_env)
    jobs = table(found.get("jobs"))
    names: dict[str, str] = {}
    for job in jobs:
        names[job] = name(job, names.values())
    actions = [_job(names, names[job], table(body)) for job, body in jobs.items()]
    fields.put("stages", [Fields([("name", "main"), ("actions", actions)])])
    return Draft(name(stem), fields)


def _triggers(on: object, fields: Fields) -> Iterator[Any]:
    events: dict[str, Any] = dict.fromkeys(texts(on)) if not isinstance(on, dict) else dict(on)
    if "push" in events:
        push = table(events["push"])
        patterns = {ours: _patterns(push, theirs) for ours, theirs in (("branches", "branches"), ("paths", "paths"))}
        branches = Fields([(key, value) for key, value in patterns.items() if value])
        tags = _patterns(push, "tags")
        if branches or not tags:
            yield Fields([("push", branches)]) if branches else Fields([("push", {})])
        if tags:
            yield Fields([("push", Fields([("tags", tags)]))])
    for one in items(events.get("schedule")):
        yield Fields([("schedule", {"cron": text(table(one).get("cron")), "timezone": "UTC", "branch": "main"})])
    for event in events:
        if event in {"pull_request", "pull_request_target"}:
            fields.remark("on: pull_request: there are none in plain git; a push to any branch can start it too")
        elif event not in {"push", "schedule", "workflow_dispatch"}:
            fields.remark(f"TODO: on: {event} has no counterpart")


def _patterns(push: Map, key: str) -> Value:
    include, exclude = texts(push.get(key)), texts(push.get(f"{key}-ignore"))
    exclude += [one[1:] for one in include if one.startswith("!")]
    include = [one for one in include if not one.startswith("!")]
    return {"include": include, "exclude": exclude} if exclude and include else {"exclude": exclude} if exclude else include


def _job(names: dict[str, str], called: str, job: Map) -> Fields:
    made = Fields()
    steps = [table(step) for step in items(job.get("steps"))]
    runs, image, taken = _steps(steps, made)
    scripted = script.of_github(runs)
    script.cases(made, scripted)
    for key in ("if", "environment", "permissions", "concurrency", "uses"):
        if key in job:
            made.remark(f"TODO: {key}: {_short(job[key])}")
    made.append(("name", called))
    made.put("needs", [names[one] for one in texts(job.get("needs")) if one in names])
    matrix = _matrix(job, made)
    made.put("matrix", matrix)
    made.put("image", _image(job, image))
    made.append(("network", True))
    env, secrets = _environment(job, steps, scripted)
    made.put("env", env)
    made.put("secrets", secrets)
    made.put("services", {key: _service(table(body)) for key, body in table(job.get("services")).items()})
    made.put("run", scripted.text or 'echo "nothing of this job could be converted"')
    axes = "".join(f"-${{{{ matrix.{axis} }}}}" for axis in matrix)
    made.put("artifacts", {f"{kept}{axes}": files for kept, files in taken.items()})
    minutes = text(job.get("timeout-minutes"))
    made.put("timeout", f"{minutes}m" if minutes.isdecimal() else "")
    if job.get("continue-on-error") == "true":
        made.append(("continue_on_error", True))
    return made


def _steps(steps: list[Map], made: Fields) -> tuple[list[str], str, dict[str, list[str]]]:
    """The scripts of the steps, the image that they set up, and the artifacts that they keep."""
    runs: list[str] = []
    read: list[str] = []
    image = ""
    kept: dict[str, list[str]] = {}
    for step in steps:
        used, given = text(step.get("uses")), table(step.get("with"))
        called = used.partition("@")[0].rpartition("/")[2]
        if "if" in step:
            made.remark(f"TODO: a step had if: {_short(step['if'])}")
        if called in _IMAGES:
            base, key, suffix, usual = _IMAGES[called]
            image = f"{base}:{text(given.get(key)) or usual}{suffix}"
        elif called == "upload-artifact":
            kept[name(text(given.get("name")) or "artifact")] = [_glob(one) for one in text(given.get("path")).split()]
        elif called == "download-artifact" and text(given.get("name")):
            read.append(name(text(given.get("name"))))
        elif called == "cache":
            made.remark(f"TODO: cache {_short(given.get('path'))}: see `cache` of an action")
        elif used and called not in _DROPPED:
            made.remark(f"TODO: uses: {used} has no counterpart; write its commands into the script")
        elif "run" in step:
            runs.append(_run(step))
    made.put("inputs", read)
    return runs, image, kept


def _run(step: Map) -> str:
    directory, said = text(step.get("working-directory")), text(step.get("run")).strip("\n")
    return f"(\ncd {directory}\n{said}\n)" if directory else said


def _glob(path: str) -> str:
    path = path.removeprefix("./").rstrip("/")
    return path if "*" in path or "." in path.rpartition("/")[2] else f"{path}/**"


def _image(job: Map, found: str) -> str:
    container = job.get("container")
    own = text(table(container).get("image")) or text(container)
    runs_on = " ".join(texts(job.get("runs-on")))
    version = re.search(r"ubuntu-(\d+\.\d+)", runs_on)
    return _with_matrix(own or found or f"ubuntu:{version[1] if version else '24.04'}")


def _with_matrix(value: str) -> str:
    return _MATRIX.sub(lambda match: f"${{{{ matrix.{match[1]} }}}}", value)


def _matrix(job: Map, made: Fields) -> dict[str, Any]:
    matrix = dict(table(table(job.get("strategy")).get("matrix")))
    for key in ("include", "exclude"):
        if matrix.pop(key, None) is not None:
            made.remark(f"TODO: matrix.{key}: write the combinations as keys of `matrix`")
    return {key: texts(value) for key, value in matrix.items() if isinstance(value, list)}


def _environment(job: Map, steps: list[Map], scripted: script.Script) -> tuple[dict[str, str], Any]:
    env, secrets = dict(scripted.env), {one: one for one in scripted.secrets}
    for given in (job.get("env"), *(step.get("env") for step in steps)):
        for key, value in environment(given).items():
            secret = re.fullmatch(r"\$\{\{\s*secrets\.([A-Za-z0-9_]+)\s*\}\}", value.strip())
            if secret:
                secrets[secret[1]] = key
            elif (kept := script.value_of_github(value, scripted)) is not None:
                env[key] = kept
    same = all(key == value for key, value in secrets.items())
    return env, list(secrets) if same else secrets


def _service(body: Map) -> Value:
    env = {key: value for key, value in environment(body.get("env")).items() if "${{" not in value}
    return {"image": text(body.get("image")), **({"env": env} if env else {})}


def _short(value: object) -> str:
    return " ".join(str(value).split())[:80]
