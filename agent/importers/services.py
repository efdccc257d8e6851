"""Actions of CodePipeline that go on elsewhere, as `uses` with its options, where there is a counterpart. Pure."""

import json
import re
from typing import NamedTuple

from agent.importers.draft import Fields, Value, name
from agent.importers.reading import Map, items, table, text

_LOOKED_UP = re.compile(r"#\{([^}]+)\}")
_KNOWN = {
    "SourceVariables.BranchName": "source.branch",
    "SourceVariables.CommitId": "source.commit",
    "SourceVariables.CommitMessage": "source.message",
    "SourceVariables.TagName": "source.tag",
    "codepipeline.PipelineExecutionId": "execution.id",
}
_MODES = {"CREATE_UPDATE": "deploy", "REPLACE_ON_FAILURE": "deploy", "DELETE_ONLY": "delete"}
_LEFT = ("TemplateConfiguration", "RoleArn", "OutputFileName")  # of CloudFormation


class Service(NamedTuple):
    """The provider behind `uses`, and what stands in `with`."""

    uses: str
    options: dict[str, Value]

    @property
    def is_in_aws(self) -> bool:
        return self.uses not in {"jenkins", "pipeline"}

    @property
    def takes_artifacts(self) -> bool:
        return self.uses in {"cloudformation", "s3", "step-functions"}


def service_of(action: Map, remarks: Fields) -> Service | None:
    """What the action is here; what is left to a person becomes remarks. None if nobody can tell."""
    of, config, said = table(action.get("actionTypeId")), table(action.get("configuration")), Fields()
    found: Service | None
    match text(of.get("category")), text(of.get("provider")):
        case "Invoke", "CodePipeline":
            found = _pipeline(config, said)
        case "Invoke", "Lambda":
            found = _function(config, said)
        case "Invoke", "StepFunctions":
            found = _state_machine(config, said)
        case "Deploy", "S3":
            found = _s3(config)
        case "Deploy", "CloudFormation":
            found = _stack(config, said)
        case _ if _is_jenkins(action):
            found = _jenkins(action, config, said)
        case _:
            return None
    if found is None or "#{" in json.dumps(found.options):
        return None
    if found.is_in_aws and (region := text(action.get("region"))):
        found.options["region"] = region
    remarks += said
    return found


def _is_jenkins(action: Map) -> bool:
    """The plug-in of Jenkins stands behind an action of the user's own, under a name that the user chose; it has one key."""
    of, config = table(action.get("actionTypeId")), table(action.get("configuration"))
    if text(of.get("owner")) != "Custom" or not all(part.strip(".") for part in _job(config).split("/")):
        return False
    return "jenkins" in text(of.get("provider")).lower() or set(config) == {"ProjectName"}


def _jenkins(action: Map, config: Map, said: Fields) -> Service:
    server = name(text(table(action.get("actionTypeId")).get("provider")))
    said.remark(f"TODO: servers.{server} in the operator's config.toml: url, user and secret of the Jenkins")
    artifacts = [text(table(one).get("name")) for key in ("inputArtifacts", "outputArtifacts") for one in items(action.get(key))]
    if artifacts:
        said.remark(f"TODO: no artifacts go to a Jenkins or come back: {', '.join(artifacts)}")
    return Service("jenkins", {"server": server, "job": _job(config)})


def _job(config: Map) -> str:
    return text(config.get("ProjectName")).strip("/")


def _pipeline(config: Map, said: Fields) -> Service:
    """It starts the other one and waits for nothing."""
    other = name(text(config.get("PipelineName")) or "pipeline")
    said.remark(
        f"TODO: repositories.{other} in the operator's config.toml: where {other} is; without `repository` it is one of ours"
    )
    if revisions := text(config.get("SourceRevisions")):
        said.remark(f"TODO: it runs the head of `branch`; it had {revisions[:100]}")
    values: dict[str, str] = {}
    for one in map(table, items(_parsed(config, "Variables"))):
        key, value = text(one.get("name")), _LOOKED_UP.sub(_ours, text(one.get("value")))
        if "#{" in value:
            said.remark(f"TODO: variable {key} was {value}")
        else:
            values[key] = value
    return Service("pipeline", {"pipeline": other, "repository": other, **_given(variables=values), "wait": False})


def _function(config: Map, said: Fields) -> Service:
    said.remark("TODO: what the function returns is its answer here; it told CodePipeline with PutJobSuccessResult")
    parameters = _value(config, "UserParameters")
    payload = {"payload": {"UserParameters": parameters}} if parameters else {}
    return Service("lambda-invoke", {"function": _value(config, "FunctionName"), **payload})


def _state_machine(config: Map, said: Fields) -> Service:
    given, options = _value(config, "Input"), _given(state_machine=_value(config, "StateMachineArn"))
    if text(config.get("InputType")) == "FilePath":
        options |= _given(input_file=given)
    elif given and _parsed(config, "Input") is None:
        said.remark(f"TODO: input is no JSON: {given[:100]}")
    else:
        options |= _given(input=given)
    return Service("step-functions", options)


def _s3(config: Map) -> Service | None:
    key = _value(config, "ObjectKey")
    more = _given(
        cache_control=_value(config, "CacheControl"),
        acl=_value(config, "CannedACL"),
        kms_key=_value(config, "KMSEncryptionKeyARN"),
    )
    place: dict[str, Value] = {"prefix": f"{key.rstrip('/')}/"} if key else {}
    if text(config.get("Extract")).lower() != "true":
        place = {"extract": False, "key": key}
    return Service("s3", {"bucket": _value(config, "BucketName"), **place, **more}) if key or "key" not in place else None


def _stack(config: Map, said: Fields) -> Service | None:
    mode, template = _MODES.get(text(config.get("ActionMode"))), _value(config, "TemplatePath").rpartition("::")[2]
    if mode is None or (mode == "deploy" and not template):
        return None
    options: dict[str, Value] = {"stack": _value(config, "StackName"), "mode": mode}
    if mode == "deploy":
        given = table(_parsed(config, "ParameterOverrides"))
        plain = {key: _LOOKED_UP.sub(_ours, value) for key, value in given.items() if isinstance(value, str)}
        for key in sorted(given.keys() - plain.keys()):
            said.remark(f"TODO: parameter {key} was {json.dumps(given[key])[:100]}")
        capabilities = [one.strip() for one in text(config.get("Capabilities")).split(",") if one.strip()]
        options |= {"template": template, **_given(parameters=plain, capabilities=capabilities)}
    for key in _LEFT:
        if key in config:
            said.remark(f"TODO: {key} {text(config[key])} has no counterpart")
    return Service("cloudformation", options)


def _value(config: Map, key: str) -> str:
    return _LOOKED_UP.sub(_ours, text(config.get(key)))


def _ours(found: re.Match[str]) -> str:
    """A variable under the name that it has here; as it was, if that is not known."""
    said = found[1]
    ours = said if said.startswith("variables.") else _KNOWN.get(said)
    return f"${{{{ {ours} }}}}" if ours else found[0]


def _parsed(config: Map, key: str) -> object:
    """JSON in a text, as all of a configuration is; None if it is not there or broken."""
    try:
        return json.loads(text(config.get(key)))
    except ValueError:
        return None


def _given(**options: Value) -> dict[str, Value]:
    """Those that have something to say."""
    return {key: value for key, value in options.items() if value}
