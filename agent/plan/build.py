"""A pipeline file becomes the plan of an execution: defaults applied, matrix expanded, order fixed.

Only `${{ }}` stays, to be looked up just before an action starts (`plan/variables.py`).
"""

from collections.abc import Mapping
from datetime import timedelta

from agent.definition import document
from agent.definition.references import replace
from agent.graph import query
from agent.graph.build import Graph, Node
from agent.graph.build import build as build_graph
from agent.model import plan as model
from agent.model.ids import ActionName, ArtifactName, PipelineName, StageName
from agent.plan.rules import gate, on_failure
from agent.plan.work import work_of

ACTION_TIMEOUT = timedelta(hours=1)


def build(pipeline: document.Pipeline, variables: Mapping[str, str], definition: str = "") -> model.Plan:
    """The plan of a pipeline whose reusable actions are already expanded.

    `variables` are the values of this start (`plan/parameters.py` checks them) and win over the defaults; `definition` is
    the id of the tree that the file is from. Raises DefinitionError for what the rules of `definition` refuse anyway.
    """
    graph = build_graph(pipeline)
    written = {stage.name: stage for stage in pipeline.stages}
    defaults = {name: variable.default for name, variable in pipeline.variables.items() if variable.default is not None}
    return model.Plan(
        pipeline=PipelineName(pipeline.name),
        stages=tuple(_stage(graph, pipeline, written[name]) for name in query.stages(graph)),
        mode=model.Mode(pipeline.mode),
        variables=defaults | dict(variables),
        timeout=pipeline.timeout,
        definition=definition,
    )


def _stage(graph: Graph, pipeline: document.Pipeline, stage: document.Stage) -> model.PlannedStage:
    env = {**pipeline.env, **stage.env}
    return model.PlannedStage(
        name=StageName(stage.name),
        actions=tuple(_action(graph, node, pipeline.defaults, env) for node in query.actions(graph, stage.name)),
        needs=tuple(StageName(need) for need in query.stage_needs(graph, stage.name)),
        lock=stage.lock,
        ancestry=stage.order == "ancestry",
        supersede_approvals=stage.supersede_approvals,
        fail_fast=stage.fail_fast,
        timeout=stage.timeout,
        before_entry=gate(stage.conditions.before_entry, pipeline.defaults, env),
        on_success=gate(stage.conditions.on_success, pipeline.defaults, env),
        on_failure=on_failure(stage, pipeline.defaults, env),
    )


def _action(graph: Graph, node: Node, defaults: document.Defaults, env: Mapping[str, str]) -> model.PlannedAction:
    action: document.Action = graph.nodes[node]["of"]
    matrix: Mapping[str, str] = graph.nodes[node]["matrix"]
    return model.PlannedAction(
        name=ActionName(node.action),
        work=work_of(action, defaults),
        needs=tuple(ActionName(need.action) for need in query.needs(graph, node)),
        namespace=_namespace(action),
        env={**env, **action.env},
        inputs=tuple(model.ArtifactInput(name=_artifact(name, matrix), path=path) for name, path in action.inputs.items()),
        artifacts=tuple(_output(_artifact(name, matrix), output) for name, output in action.artifacts.items()),
        outputs=action.outputs,
        secrets=dict(action.secrets),
        matrix=dict(matrix),
        cache=tuple(model.Cache(paths=cache.paths, key_files=cache.key_files, key=cache.key) for cache in action.cache),
        reports=action.reports.junit,
        timeout=_timeout(action, defaults),
        retries=_retries(action, defaults),
        when=model.When(action.when),
        continue_on_error=action.continue_on_error,
    )


def _namespace(action: document.Action) -> str:
    """An action that leaves no values has none, so that equal names in several stages do not hide each other's."""
    leaves_values = bool(action.outputs or action.uses or action.deploy)
    return action.namespace or (action.name if leaves_values else "")


def _artifact(name: str, matrix: Mapping[str, str]) -> ArtifactName:
    """The name of an artifact: known before anything runs, so that only the values of the leg may stand in it."""
    return ArtifactName(replace(name, lambda found: matrix.get(found.key) if found.namespace == "matrix" else None))


def _output(name: ArtifactName, output: document.ArtifactOutput) -> model.ArtifactOutput:
    return model.ArtifactOutput(
        name=name,
        files=output.files,
        exclude=output.exclude,
        base=output.base.strip("/"),
        flat=output.flat,
        optional=output.optional,
    )


def _timeout(action: document.Action, defaults: document.Defaults) -> timedelta:
    if action.approval is not None:
        return action.timeout or action.approval.timeout
    return action.timeout or defaults.timeout or ACTION_TIMEOUT


def _retries(action: document.Action, defaults: document.Defaults) -> model.Retries:
    """Defaults are for scripts only: nobody wants a deploy repeated who did not say so."""
    retries = action.retries or (defaults.retries if action.run is not None else None)
    if retries is None:
        return model.Retries()
    return model.Retries(count=retries.count, delay=retries.delay, factor=retries.factor, max_delay=retries.max_delay)
