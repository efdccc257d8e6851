"""A pipeline as a graph: what must have ended before what.

Nodes are the actions (each leg of a matrix by itself) and two barriers for each stage, so that the stages of a pipeline cost
edges by their sum and not by their product. Rules of `definition` refuse cycles and unknown names with their place in the
file; this is the defence behind them, for graphs that were made otherwise.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple, TypeAlias

import networkx as nx

from agent.definition.document import Action, Pipeline, Stage
from agent.definition.matrix import expand
from agent.definition.order import cycle, stage_needs
from agent.errors import DefinitionError


class Kind(StrEnum):
    """What a node is: the barrier before a stage, an action, the barrier after a stage."""

    ENTER = "enter"
    ACTION = "action"
    LEAVE = "leave"


class Node(NamedTuple):
    """A node of the graph; `action` is empty for a barrier, and the full name of a leg ("unit (3.11)") for a matrix."""

    stage: str
    action: str = ""
    kind: Kind = Kind.ACTION


Graph: TypeAlias = nx.DiGraph  # of Node; the stubs know no element types


def build(pipeline: Pipeline) -> Graph:
    """The graph of a pipeline; each node has `place`, its position in the file, and actions have `of` and `matrix`.

    The graph itself has the actions of each stage, in file order, under the stage's name.

    Raises DefinitionError for a cycle (the message is the path that closes it) and for a `needs` that names nothing.
    """
    graph: Graph = nx.DiGraph()
    for stage in pipeline.stages:
        _add_stage(graph, stage)
    between = stage_needs(pipeline)
    _refuse_broken(between, "stage {}", "stages")
    for name, needs in between.items():
        graph.add_edges_from((Node(need, kind=Kind.LEAVE), Node(name, kind=Kind.ENTER)) for need in needs)
    return graph


def _add_stage(graph: Graph, stage: Stage) -> None:
    enter, leave = Node(stage.name, kind=Kind.ENTER), Node(stage.name, kind=Kind.LEAVE)
    graph.add_node(enter, place=len(graph))
    legs = {action.name: tuple(_add_action(graph, stage, action)) for action in stage.actions}
    graph.graph[stage.name] = tuple(node for nodes in legs.values() for node in nodes)
    graph.add_node(leave, place=len(graph))
    needs = {action.name: action.needs for action in stage.actions}
    _refuse_broken(needs, f"action {{}} of stage {stage.name}", f"actions of stage {stage.name}")
    needed_by_others = {name for needed in needs.values() for name in needed}
    for name, nodes in legs.items():
        before = [node for need in needs[name] for node in legs[need]] or [enter]
        graph.add_edges_from((earlier, node) for earlier in before for node in nodes)
        if name not in needed_by_others:
            graph.add_edges_from((node, leave) for node in nodes)


def _add_action(graph: Graph, stage: Stage, action: Action) -> Iterator[Node]:
    legs = expand(action)
    if not legs:
        raise DefinitionError(f"the matrix of action {action.name} of stage {stage.name} has no combination, or too many")
    for leg in legs:
        node = Node(stage.name, leg.name)
        if node in graph:
            raise DefinitionError(f"stage {stage.name} has two actions called {node.action}")
        graph.add_node(node, place=len(graph), of=action, matrix=leg.values)
        yield node


def _refuse_broken(needs: Mapping[str, tuple[str, ...]], one: str, all_of_them: str) -> None:
    for name, needed in needs.items():
        for unknown in (need for need in needed if need not in needs):
            raise DefinitionError(f"{one.format(name)} needs {unknown}, which does not exist")
    if path := cycle(needs):
        raise DefinitionError(f"{all_of_them} need each other: {' -> '.join(path)}", hint="remove one of these needs")
