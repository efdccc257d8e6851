"""AWS CodePipeline: the JSON of `aws codepipeline get-pipeline` (codepipeline.md 5.1); stages and names stay. Pure."""

import json
import re
from collections.abc import Iterator
from typing import Any

from agent.errors import UsageError
from agent.importers.draft import Draft, Fields, Remark, Value, name
from agent.importers.reading import Map, document, items, table, text, texts

_IMAGE = "public.ecr.aws/codebuild/amazonlinux2-x86_64-standard:5.0"
_LOOKED_UP = re.compile(r"#\{([^}]+)\}")
_KNOWN = {
    "SourceVariables.BranchName": "source.branch",
    "SourceVariables.CommitId": "source.commit",
    "SourceVariables.CommitMessage": "source.message",
    "SourceVariables.TagName": "source.tag",
    "codepipeline.PipelineExecutionId": "execution.id",
}
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
    absent = {
        made for action in _actions(pipeline) if _category(action) == "Source" or _is_jenkins(action) for made in _made(action)
    }
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


def _is_jenkins(action: Map) -> bool:
    """The plug-in of Jenkins stands behind an action of the user's own, under a name that the user chose; it has one key."""
    of, config = table(action.get("actionTypeId")), table(action.get("configuration"))
    if text(of.get("owner")) != "Custom" or not all(part.strip(".") for part in _job(config).split("/")):
        return False
    return "jenkins" in _provider(action).lower() or set(config) == {"ProjectName"}


def _job(config: Map) -> str:
    return text(config.get("ProjectName")).strip("/")


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
    _work(action, config, made, work)
    for key in ("roleArn", "region"):
        if key in action:
            made.remark(f"TODO: {key} {text(action[key])}")
    made.append(("name", name(text(action.get("name")))))
    made.put("needs", needs)
    made.put("namespace", text(action.get("namespace")))
    inputs = [text(table(one).get("name")) for one in items(action.get("inputArtifacts"))]
    kinds = {field[0] for field in work if not isinstance(field, Remark)}
    made.put("inputs", [one for one in inputs if one not in absent] if not kinds & {"approval", "uses"} else [])
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
        case "Invoke", "CodePipeline":
            _pipeline(config, made, work)
        case _ if _is_jenkins(action):
            _jenkins(action, config, made, work)
        case _, provider:
            made.remark(f"TODO: {provider}: see `uses` in the reference; it had {_short(config)}")
            work.append(("image", _IMAGE))
            work.append(("run", f'echo "TODO: {provider}"; exit 1'))


def _pipeline(config: Map, made: Fields, work: Fields) -> None:
    """It starts the other one and waits for nothing."""
    other = name(text(config.get("PipelineName")) or "pipeline")
    made.remark(
        f"TODO: repositories.{other} in the operator's config.toml: where {other} is; without `repository` it is one of ours"
    )
    if revisions := text(config.get("SourceRevisions")):
        made.remark(f"TODO: it runs the head of `branch`; it had {revisions[:100]}")
    values = {}
    for one in map(table, items(_parsed(config.get("Variables")))):
        key, value = text(one.get("name")), _LOOKED_UP.sub(_ours, text(one.get("value")))
        if "#{" in value:
            made.remark(f"TODO: variable {key} was {value}")
        else:
            values[key] = value
    work.append(("uses", "pipeline"))
    variables = {"variables": values} if values else {}
    work.append(("with", {"pipeline": other, "repository": other, **variables, "wait": False}))


def _ours(found: re.Match[str]) -> str:
    """A variable under the name that it has here; as it was, if that is not known."""
    said = found[1]
    ours = said if said.startswith("variables.") else _KNOWN.get(said)
    return f"${{{{ {ours} }}}}" if ours else found[0]


def _parsed(value: object) -> object:
    """JSON in a text, as all of a configuration is."""
    try:
        return json.loads(text(value) or "[]")
    except ValueError:
        return []


def _jenkins(action: Map, config: Map, made: Fields, work: Fields) -> None:
    server = name(_provider(action))
    made.remark(f"TODO: servers.{server} in the operator's config.toml: url, user and secret of the Jenkins")
    inputs = [text(table(one).get("name")) for one in items(action.get("inputArtifacts"))]
    if carried := [*inputs, *_made(action)]:
        made.remark(f"TODO: no artifacts go to a Jenkins or come back: {', '.join(carried)}")
    work.append(("uses", "jenkins"))
    work.append(("with", {"server": server, "job": _job(config)}))


def _short(config: Map) -> str:
    return ", ".join(f"{key}={' '.join(str(value).split())[:40]}" for key, value in config.items())[:150] or "no configuration"
