"""AWS CodePipeline: the JSON of `aws codepipeline get-pipeline` (codepipeline.md 5.1); stages and names stay. Pure."""

from collections.abc import Iterator
from typing import Any

from agent.errors import UsageError
from agent.importers.draft import Draft, Fields, Remark, Value, name
from agent.importers.reading import Map, document, items, table, text, texts
from agent.importers.services import service_of

_IMAGE = "public.ecr.aws/codebuild/amazonlinux2-x86_64-standard:5.0"
_NEXT = {"ALL_ACTIONS": "all", "FAILED_ACTIONS": "failed"}


def convert(path: str, data: bytes) -> Draft:
    """Raises UsageError if it is no pipeline of CodePipeline."""
    found = document(path, data)
    pipeline = table(found.get("pipeline")) or found
    if "stages" not in pipeline:
        raise UsageError(f"{path} has no stages", hint="aws codepipeline get-pipeline --name NAME > pipeline.json")
    fields = Fields()
    fields.remark(
        f"From the CodePipeline {text(pipeline.get('name'))} by `git pipeline import`; what begins with TODO is left to you."
    )
    fields.put("triggers", list(_triggers(pipeline, fields)))
    mode = text(pipeline.get("executionMode")).lower()
    fields.put("mode", mode if mode in {"queued", "parallel", "superseded"} else "")
    fields.put("variables", {text(one.get("name")): _variable(one) for one in map(table, items(pipeline.get("variables")))})
    services = [(action, service_of(action, Fields())) for action in _actions(pipeline)]
    absent = {made for one, service in services if service or _category(one) == "Source" for made in _made(one)}
    if any(service.is_in_aws for _, service in services if service):
        fields.remark("TODO: accounts.default in the operator's config.toml: the role to assume in the account of AWS")
    stages = [_stage(one, absent, fields) for one in map(table, items(pipeline.get("stages")))]
    fields.put("stages", [stage for stage in stages if stage])
    return Draft(name(text(pipeline.get("name")) or "pipeline"), fields)


def _actions(pipeline: Map) -> Iterator[Map]:
    for stage in map(table, items(pipeline.get("stages"))):
        yield from map(table, items(stage.get("actions")))


def _category(action: Map) -> str:
    return text(table(action.get("actionTypeId")).get("category"))


def _provider(action: Map) -> str:
    return text(table(action.get("actionTypeId")).get("provider"))


def _made(action: Map) -> list[str]:
    return [text(table(one).get("name")) for one in items(action.get("outputArtifacts"))]


def _variable(one: Map) -> dict[str, str]:
    given = {"default": text(one.get("defaultValue")), "description": text(one.get("description"))}
    return {key: value for key, value in given.items() if value}


def _triggers(pipeline: Map, fields: Fields) -> Iterator[Any]:
    given = False
    for trigger in map(table, items(pipeline.get("triggers"))):
        git = table(trigger.get("gitConfiguration"))
        for push in map(table, items(git.get("push"))):
            given = True
            keys = (("branches", "branches"), ("tags", "tags"), ("paths", "filePaths"))
            yield Fields([("push", Fields([(ours, _filter(push[theirs])) for ours, theirs in keys if theirs in push]))])
        if "pullRequest" in git:
            fields.remark("TODO: a trigger by pull requests has no counterpart in plain git")
    if not given:
        branches = [
            text(table(action.get("configuration")).get(key)) for action in _actions(pipeline) for key in ("BranchName", "Branch")
        ]
        branches = sorted({one for one in branches if one})
        if branches:
            yield Fields([("push", Fields([("branches", branches)]))])


def _filter(value: object) -> Value:
    include, exclude = texts(table(value).get("includes")), texts(table(value).get("excludes"))
    return {key: found for key, found in (("include", include), ("exclude", exclude)) if found} if exclude else include


def _stage(stage: Map, absent: set[str], fields: Fields) -> Fields | None:
    actions = [action for action in map(table, items(stage.get("actions"))) if _category(action) != "Source"]
    for action in map(table, items(stage.get("actions"))):
        if _category(action) == "Source" and _provider(action) not in {"CodeCommit", "CodeStarSourceConnection", "GitHub"}:
            fields.remark(
                f"TODO: source {text(action.get('name'))} was {_provider(action)}; the pushed commit is the source here"
            )
    if not actions:
        return None
    made = Fields()
    for key in ("beforeEntry", "onSuccess"):
        if key in stage:
            made.remark(f"TODO: {key}: see `conditions` of a stage; it was {str(stage[key])[:100]}")
    made.append(("name", name(text(stage.get("name")))))
    failure = table(stage.get("onFailure"))
    match text(failure.get("result")):
        case "ROLLBACK":
            made.append(("on_failure", {"rollback": True}))
        case "RETRY":
            how = _NEXT.get(text(table(failure.get("retryConfiguration")).get("retryMode")), "failed")
            made.append(("on_failure", {"retry": 1, "retry_mode": how}))
        case _:
            pass
    made.append(("actions", list(_ordered(actions, absent))))
    return made


def _ordered(actions: list[Map], absent: set[str]) -> Iterator[Fields]:
    """`runOrder` as `needs`: each action needs those of the order before."""
    orders = sorted({int(text(action.get("runOrder")) or 1) for action in actions})
    by_order = {
        order: [name(text(one.get("name"))) for one in actions if int(text(one.get("runOrder")) or 1) == order]
        for order in orders
    }
    for action in actions:
        at = orders.index(int(text(action.get("runOrder")) or 1))
        yield _action(action, by_order[orders[at - 1]] if at else [], absent)


def _action(action: Map, needs: list[str], absent: set[str]) -> Fields:
    made, work = Fields(), Fields()
    config = table(action.get("configuration"))
    service = service_of(action, made)
    if service:
        work += [("uses", service.uses), ("with", service.options)]
    else:
        _work(action, config, made, work)
    for key in ("roleArn", "region"):
        if key in action and not (service and key in service.options):
            made.remark(f"TODO: {key} {text(action[key])}")
    made.append(("name", name(text(action.get("name")))))
    made.put("needs", needs)
    made.put("namespace", text(action.get("namespace")))
    inputs = [text(table(one).get("name")) for one in items(action.get("inputArtifacts"))]
    kinds = {field[0] for field in work if not isinstance(field, Remark)}
    takes = service.takes_artifacts if service else "approval" not in kinds
    made.put("inputs", [one for one in inputs if one not in absent] if takes else [])
    made += work
    if not kinds & {"approval", "buildspec", "uses"}:
        made.put(
            "artifacts",
            {
                text(table(one).get("name")): texts(table(one).get("files")) or ["**"]
                for one in items(action.get("outputArtifacts"))
            },
        )
    made.put("outputs", texts(action.get("outputVariables")))
    minutes = text(action.get("timeoutInMinutes"))
    if minutes.isdecimal() and _category(action) != "Approval":
        made.put("timeout", f"{minutes}m")
    return made


def _work(action: Map, config: Map, made: Fields, work: Fields) -> None:
    match _category(action), _provider(action):
        case "Approval", _:
            asked = {"message": text(config.get("CustomData")), "url": text(config.get("ExternalEntityLink"))}
            minutes = text(action.get("timeoutInMinutes"))
            asked["timeout"] = f"{minutes}m" if minutes.isdecimal() else "7d"
            made.remark("TODO: who may approve: by: [role, …]; without it any operator may")
            work.append(("approval", {key: value for key, value in asked.items() if value}))
        case _, "CodeBuild":
            made.remark(f"TODO: the image and the buildspec of the CodeBuild project {text(config.get('ProjectName'))}")
            made_of = _made(action)
            work.append(("image", _IMAGE))
            work.append(("network", True))
            work.append(("buildspec", {"file": "buildspec.yml", **({"artifact": made_of[0]} if made_of else {})}))
        case _, "Commands":
            work.append(("image", _IMAGE))
            work.append(("network", True))
            work.append(("run", "\n".join(texts(action.get("commands")))))
        case _, "CodeDeploy":
            group = name(text(config.get("DeploymentGroupName")) or "hosts")
            made.remark(f"TODO: hosts.{group} in the operator's config.toml: the hosts of {text(config.get('ApplicationName'))}")
            work.append(("deploy", {"to": group, "strategy": "rolling", "appspec": "appspec.yml"}))
        case _, provider:
            made.remark(f"TODO: {provider}: see `uses` in the reference; it had {_short(config)}")
            work.append(("image", _IMAGE))
            work.append(("run", f'echo "TODO: {provider}"; exit 1'))


def _short(config: Map) -> str:
    return ", ".join(f"{key}={' '.join(str(value).split())[:40]}" for key, value in config.items())[:150] or "no configuration"
