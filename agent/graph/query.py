"""Questions about the graph of a pipeline: what comes first, what waits for what, what took longest."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

import networkx as nx

from agent.graph.build import Graph, Kind, Node

NOTHING = timedelta()


def order(graph: Graph) -> tuple[Node, ...]:
    """All nodes so that each comes after everything it needs; what is free stays as it stands in the file."""
    return tuple(nx.lexicographical_topological_sort(graph, key=lambda node: graph.nodes[node]["place"]))


def stages(graph: Graph) -> tuple[str, ...]:
    """The stages in that order."""
    return tuple(node.stage for node in order(graph) if node.kind is Kind.ENTER)


def stage_needs(graph: Graph, stage: str) -> tuple[str, ...]:
    """The stages that must have succeeded before this one, in file order."""
    return tuple(node.stage for node in _sorted(graph, graph.pred[Node(stage, kind=Kind.ENTER)]))


def actions(graph: Graph, stage: str) -> tuple[Node, ...]:
    """The actions of a stage in file order."""
    found: tuple[Node, ...] = graph.graph[stage]
    return found


def order_of(graph: Graph, stage: str) -> tuple[Node, ...]:
    """The actions of a stage so that each comes after those it needs."""
    inside = graph.subgraph(actions(graph, stage))  # type: ignore[no-untyped-call]
    return tuple(nx.lexicographical_topological_sort(inside, key=lambda node: graph.nodes[node]["place"]))


def needs(graph: Graph, action: Node) -> tuple[Node, ...]:
    """The actions of the same stage that this one waits for directly."""
    return _sorted(graph, (node for node in graph.pred[action] if node.kind is Kind.ACTION))


def downstream(graph: Graph, action: Node) -> frozenset[Node]:
    """All actions, of any stage, that wait for this one, directly or not."""
    later = nx.descendants(graph, action)  # type: ignore[no-untyped-call]
    return frozenset(node for node in later if node.kind is Kind.ACTION)


def ready(graph: Graph, ended: frozenset[Node]) -> tuple[Node, ...]:
    """The actions that may start when these have ended well, all barriers considered."""
    passed: set[Node] = set()
    found = []
    for node in order(graph):
        if node in ended or not passed.issuperset(graph.pred[node]):
            passed.update({node} & ended)
        elif node.kind is Kind.ACTION:
            found.append(node)
        else:
            passed.add(node)
    return tuple(found)


def critical_path(graph: Graph, durations: Mapping[Node, timedelta]) -> tuple[Node, ...]:
    """The actions, in order, whose durations add up to the shortest time the whole can take. Unknown durations count nothing."""
    longest: dict[Node, timedelta] = {}
    before: dict[Node, Node | None] = {}
    for node in order(graph):
        last = max(_sorted(graph, graph.pred[node]), key=longest.__getitem__, default=None)
        before[node] = last
        longest[node] = durations.get(node, NOTHING) + (longest[last] if last else NOTHING)
    path = []
    step = max(longest, key=longest.__getitem__, default=None)
    while step is not None:
        path.append(step)
        step = before[step]
    return tuple(node for node in reversed(path) if node in durations)


def _sorted(graph: Graph, nodes: Iterable[Node]) -> tuple[Node, ...]:
    return tuple(sorted(nodes, key=lambda node: graph.nodes[node]["place"]))
