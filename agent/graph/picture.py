"""What a drawing shows, whatever it is drawn with: stages in layers, actions in levels, what each does, how long it took."""

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from agent.definition.document import Action, Defaults, Pipeline, Stage
from agent.graph import query
from agent.graph.build import Graph, Node, build


class DrawnAction(NamedTuple):
    """An action; `level` is 0 where it starts with its stage, else one more than the last it needs."""

    name: str
    does: str
    level: int
    needs: tuple[str, ...] = ()
    duration: timedelta | None = None
    is_critical: bool = False
    status: str = ""


class DrawnStage(NamedTuple):
    """A stage; `layer` is 0 where it starts with the execution."""

    name: str
    layer: int
    needs: tuple[str, ...]
    actions: tuple[DrawnAction, ...]
    notes: tuple[str, ...] = ()


class Picture(NamedTuple):
    """A pipeline to draw; `stages` stand in the order in which they run."""

    title: str
    stages: tuple[DrawnStage, ...]


def picture(
    pipeline: Pipeline,
    durations: Mapping[tuple[str, str], timedelta] | None = None,
    statuses: Mapping[tuple[str, str], str] | None = None,
) -> Picture:
    """The picture of a pipeline. With `durations` and `statuses` by stage and action (from a run) also times, the critical
    path, and how each ended."""
    graph = build(pipeline)
    took = {Node(*place): duration for place, duration in (durations or {}).items() if Node(*place) in graph}
    critical = frozenset(query.critical_path(graph, took)) if took else frozenset()
    written = {stage.name: stage for stage in pipeline.stages}
    layers: dict[str, int] = {}
    drawn = []
    for name in query.stages(graph):
        needs = query.stage_needs(graph, name)
        layers[name] = 1 + max((layers[need] for need in needs), default=-1)
        drawn.append(
            DrawnStage(
                name, layers[name], needs, _actions(graph, pipeline, name, took, critical, statuses or {}), _notes(written[name])
            )
        )
    return Picture(pipeline.name, tuple(drawn))


def _actions(
    graph: Graph,
    pipeline: Pipeline,
    stage: str,
    took: Mapping[Node, timedelta],
    critical: frozenset[Node],
    statuses: Mapping[tuple[str, str], str],
) -> tuple[DrawnAction, ...]:
    levels: dict[Node, int] = {}
    for node in query.order_of(graph, stage):
        levels[node] = 1 + max((levels[need] for need in query.needs(graph, node)), default=-1)
    return tuple(
        DrawnAction(
            node.action,
            _does(graph.nodes[node]["of"], pipeline.defaults),
            levels[node],
            tuple(need.action for need in query.needs(graph, node)),
            took.get(node),
            node in critical,
            statuses.get((node.stage, node.action), ""),
        )
        for node in query.actions(graph, stage)
    )


def _does(action: Action, defaults: Defaults) -> str:
    if action.approval is not None:
        by = action.approval.by or tuple(name for group in action.approval.groups for name in group.by)
        return f"approval by {', '.join(by)}" if by else "approval"
    if action.deploy is not None:
        return f"deploy to {action.deploy.to}, {action.deploy.strategy}"
    if action.uses:
        return f"uses {action.uses}"
    runner = action.runner or defaults.runner
    where = f"on {action.hosts}" if action.hosts else action.image or ("" if runner == "local" else defaults.image) or runner
    return f"run {where}".strip()


def _notes(stage: Stage) -> tuple[str, ...]:
    gates = [name for name in ("before_entry", "on_success", "on_failure") if getattr(stage.conditions, name) is not None]
    return tuple(
        note
        for note in (
            f"lock {stage.lock}" if stage.lock else "",
            f"conditions {', '.join(gates)}" if gates else "",
            "rollback on failure" if stage.on_failure.rollback else "",
        )
        if note
    )
