"""GitLab CI: .gitlab-ci.yml; a job becomes an action, its stages ours. Pure."""

from collections.abc import Iterator
from typing import Any

from agent.importers.draft import Draft, Fields, Remark, name
from agent.importers.reading import Map, document, environment, items, table, text, texts
from agent.importers.script import GITLAB_ENV, with_names

_STAGES = ["build", "test", "deploy"]
_GLOBAL = frozenset(
    {"stages", "variables", "default", "include", "workflow", "image", "services", "before_script", "after_script", "cache"}
)
_LEFT = (
    "rules",
    "only",
    "except",
    "environment",
    "trigger",
    "parallel",
    "coverage",
    "tags",
    "resource_group",
    "release",
)


def convert(path: str, data: bytes) -> Draft:
    """Raises UsageError if it is no file of GitLab CI."""
    found = document(path, data)
    fields = Fields()
    fields.remark(f"From {path} of GitLab CI by `git pipeline import`; what begins with TODO is left to you.")
    for key in ("include", "workflow"):
        if key in found:
            fields.remark(f"TODO: {key}: {str(found[key])[:80]}")
    fields.put("env", environment(found.get("variables")))
    jobs = {key: _extended(found, table(body)) for key, body in found.items() if _is_job(key, body)}
    order = [".pre", *(texts(found.get("stages")) or _STAGES), ".post"]
    stages, kept = [], list[str]()
    for stage in order:
        made = [_job(found, called, job, kept) for called, job in jobs.items() if (text(job.get("stage")) or "test") == stage]
        if made:
            stages.append(Fields([("name", name(stage)), ("actions", made)]))
            kept += [key for job in made for key in _artifacts(job)]
    fields.put("stages", stages)
    return Draft("ci", fields)


def _is_job(key: str, body: object) -> bool:
    return key not in _GLOBAL and not key.startswith(".") and isinstance(body, dict)


def _extended(found: Map, job: Map, depth: int = 0) -> Map:
    """`extends` applied, mapping by mapping."""
    merged: dict[str, Any] = {}
    for parent in texts(job.get("extends")) if depth < 11 else ():
        merged = _merged(merged, _extended(found, table(found.get(parent)), depth + 1))
    return _merged(merged, job)


def _merged(below: Map, above: Map) -> dict[str, Any]:
    both = {
        key: _merged(below[key], above[key]) for key in above if isinstance(below.get(key), dict) and isinstance(above[key], dict)
    }
    return {**below, **above, **both}


def _artifacts(job: Fields) -> Iterator[str]:
    for field in job:
        if not isinstance(field, Remark) and field[0] == "artifacts" and isinstance(field[1], dict):
            yield from field[1]


def _job(found: Map, called: str, job: Map, before: list[str]) -> Fields:
    """`before`: the artifacts of the stages before, which every job gets that does not choose."""
    made = Fields()
    default = {
        **{key: found[key] for key in ("image", "services", "before_script", "after_script") if key in found},
        **table(found.get("default")),
    }
    for key in _LEFT:
        if key in job:
            made.remark(f"TODO: {key}: {' '.join(str(job[key]).split())[:80]}")
    if job.get("when") == "manual":
        made.remark("when: manual: an `approval` in a stage before this one does that")
    made.append(("name", name(called)))
    image = job.get("image", default.get("image"))
    made.put("image", text(table(image).get("name")) or text(image) or "ruby:3.1")
    made.append(("network", True))
    made.put("inputs", [one for one in before if "dependencies" not in job or one in map(name, texts(job["dependencies"]))])
    made.put("env", environment(job.get("variables")))
    made.put("services", dict(_services(job.get("services", default.get("services")))))
    lines = [*texts(job.get("before_script", default.get("before_script"))), *texts(job.get("script"))]
    made.put("run", with_names("\n".join(lines), GITLAB_ENV) or 'echo "this job had no script"')
    after = texts(job.get("after_script", default.get("after_script")))
    if after:
        made.remark(f"TODO: after_script: {'; '.join(after)[:80]}")
    _kept(job, called, made)
    if job.get("allow_failure") == "true":
        made.append(("continue_on_error", True))
    retry = text(table(job.get("retry")).get("max")) or text(job.get("retry"))
    made.put("retries", {"count": int(retry)} if retry.isdecimal() and retry != "0" else {})
    return made


def _kept(job: Map, called: str, made: Fields) -> None:
    """Artifacts, reports and caches."""
    artifacts = table(job.get("artifacts"))
    paths = [_glob(one) for one in texts(artifacts.get("paths"))]
    made.put("artifacts", {name(called): paths} if paths else {})
    made.put(
        "reports",
        {"junit": texts(table(artifacts.get("reports")).get("junit"))} if "junit" in table(artifacts.get("reports")) else {},
    )
    for cache in items(job.get("cache"))[:1]:
        paths = [one.rstrip("/") for one in texts(table(cache).get("paths"))]
        files = texts(table(table(cache).get("key")).get("files"))
        made.put("cache", {"paths": paths, **({"key_files": files} if files else {})} if paths else {})


def _services(value: object) -> Iterator[tuple[str, Any]]:
    for one in items(value):
        image = text(table(one).get("name")) or text(one)
        called = text(table(one).get("alias")) or image.partition(":")[0].rpartition("/")[2]
        yield name(called), {"image": image}


def _glob(path: str) -> str:
    path = path.removeprefix("./")
    return f"{path}**" if path.endswith("/") else path if "*" in path or "." in path.rpartition("/")[2] else f"{path}/**"
