"""Drawings of a pipeline in text: a tree for the terminal, Mermaid for READMEs, DOT for Graphviz. SVG is in `svg.py`."""

from collections.abc import Iterator
from datetime import timedelta

from agent.graph.picture import DrawnAction, DrawnStage, Picture

CRITICAL = "critical path"


def text(picture: Picture) -> str:
    """A tree: stages in the order in which they run, actions with what they do and what they wait for."""
    width = max((len(action.name) for stage in picture.stages for action in stage.actions), default=0)
    lines = [picture.title]
    before: tuple[str, ...] = ()
    for stage in picture.stages:
        after = "" if stage.needs == before else f"  after {', '.join(stage.needs) or 'nothing'}"
        notes = f"  [{'; '.join(stage.notes)}]" if stage.notes else ""
        lines += ["", f"{stage.name}{after}{notes}", *_tree(stage, width)]
        before = (stage.name,)
    if any(action.is_critical for stage in picture.stages for action in stage.actions):
        lines += ["", f"* {CRITICAL}"]
    return "\n".join(lines) + "\n"


def mermaid(picture: Picture) -> str:
    """A Mermaid flowchart with a subgraph for each stage."""
    names = _identifiers(picture)
    lines = ["flowchart LR"]
    for stage in picture.stages:
        lines.append(f'  subgraph {names[stage.name, ""]}["{_mermaid(stage.name)}"]')
        lines += [f'    {names[stage.name, action.name]}["{_mermaid(label(action))}"]' for action in stage.actions]
        lines += [f"    {names[stage.name, need]} --> {names[stage.name, name]}" for need, name in _edges(stage)]
        lines.append("  end")
    lines += [f"  {names[need, '']} --> {names[stage.name, '']}" for stage in picture.stages for need in stage.needs]
    critical = [names[stage.name, action.name] for stage in picture.stages for action in stage.actions if action.is_critical]
    if critical:
        lines += ["  classDef critical stroke:#c62828,stroke-width:3px", f"  class {','.join(critical)} critical"]
    return "\n".join(lines) + "\n"


def dot(picture: Picture) -> str:
    """A DOT digraph with a cluster for each stage; edges between stages end at the clusters."""
    names = _identifiers(picture)
    lines = [f"digraph {_quoted(picture.title)} {{", "  rankdir=LR; compound=true; node [shape=box];"]
    for stage in picture.stages:
        lines.append(f"  subgraph cluster_{names[stage.name, '']} {{ label={_quoted(stage.name)};")
        for action in stage.actions:
            mark = ", color=red, penwidth=2" if action.is_critical else ""
            lines.append(f"    {names[stage.name, action.name]} [label={_quoted(label(action))}{mark}];")
        lines += [f"    {names[stage.name, need]} -> {names[stage.name, name]};" for need, name in _edges(stage)]
        lines.append("  }")
    lines += [_between(names, _stage(picture, need), stage) for stage in picture.stages for need in stage.needs]
    return "\n".join([*lines, "}"]) + "\n"


def label(action: DrawnAction) -> str:
    """Its name and, after a run, its duration."""
    name = printable(action.name)
    return name if action.duration is None else f"{name} · {spell(action.duration)}"


def printable(words: str) -> str:
    """Without control characters, which a value of a matrix may bring: they would break a line, a terminal or a document."""
    return "".join(char if char.isprintable() else " " for char in words)


def spell(duration: timedelta) -> str:
    """A duration as people read it: 0.4s, 12s, 3m05s, 1h02m."""
    seconds = duration.total_seconds()
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60}h{minutes % 60:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def _tree(stage: DrawnStage, width: int) -> Iterator[str]:
    *first, last = stage.actions
    yield from (_branch("├── ", action, width) for action in first)
    yield _branch("└── ", last, width)


def _branch(twig: str, action: DrawnAction, width: int) -> str:
    after = f", after {', '.join(action.needs)}" if action.needs else ""
    duration = f"  {spell(action.duration)}" if action.duration is not None else ""
    mark = " *" if action.is_critical else ""
    return f"{twig}{printable(action.name):{width}}  {printable(action.does + after)}{duration}{mark}"


def _identifiers(picture: Picture) -> dict[tuple[str, str], str]:
    """Short names without any character that a format could take for its own; (stage, "") is the stage."""
    names = {}
    for number, stage in enumerate(picture.stages):
        names[stage.name, ""] = f"s{number}"
        names |= {(stage.name, action.name): f"s{number}a{index}" for index, action in enumerate(stage.actions)}
    return names


def _edges(stage: DrawnStage) -> Iterator[tuple[str, str]]:
    return ((need, action.name) for action in stage.actions for need in action.needs)


def _stage(picture: Picture, name: str) -> DrawnStage:
    return next(stage for stage in picture.stages if stage.name == name)


def _between(names: dict[tuple[str, str], str], before: DrawnStage, after: DrawnStage) -> str:
    tail, head = names[before.name, before.actions[-1].name], names[after.name, after.actions[0].name]
    return f"  {tail} -> {head} [ltail=cluster_{names[before.name, '']}, lhead=cluster_{names[after.name, '']}];"


def _mermaid(words: str) -> str:
    return words.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


def _quoted(words: str) -> str:
    return '"' + words.replace("\\", "\\\\").replace('"', '\\"') + '"'
