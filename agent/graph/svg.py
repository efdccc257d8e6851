"""A drawing as SVG: one box for each stage, from left to right by layer. Needs neither a browser nor Graphviz."""

from collections.abc import Iterator, Mapping
from html import escape
from itertools import groupby
from typing import NamedTuple

from agent.graph.draw import label, printable
from agent.graph.picture import DrawnAction, DrawnStage, Picture

LETTER = 7.3  # width of a character of 12px monospace
ROW, GAP, MARGIN, HEAD = 30, 12, 16, 28  # heights and distances, px
BETWEEN_LEVELS, BETWEEN_LAYERS = 34, 48
STYLE = (  # the colours are those of the page that it stands in, if that has any
    "text{font:12px ui-monospace,monospace;fill:var(--ink,#1f2328)}.t{font-weight:bold}"
    ".p{fill:var(--paper,#fff)}.s{fill:var(--panel,#f6f8fa);stroke:var(--line,#8c959f)}"
    ".a{fill:var(--paper,#fff);stroke:var(--faint,#57606a)}.c{stroke-width:3}"
    ".a.Succeeded{stroke:var(--good,#116329)}.a.Failed,.a.Abandoned{stroke:var(--bad,#a40e26);stroke-dasharray:5 3}"
    ".a.Waiting{stroke:var(--wait,#7d4e00)}.e{fill:none;stroke:var(--faint,#57606a);marker-end:url(#tip)}"
    "#tip path{fill:var(--faint,#57606a)}"
)
TIP = (
    '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 8 4 0 8z"/></marker>'
)


class Box(NamedTuple):
    """A rectangle; x and y are its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    def moved(self, x: float, y: float) -> "Box":
        return self._replace(x=self.x + x, y=self.y + y)


class Placed(NamedTuple):
    """A stage with its place, and the places of its actions by name."""

    stage: DrawnStage
    box: Box
    actions: Mapping[str, Box]


def svg(picture: Picture) -> str:
    """The picture as an SVG document of its own."""
    placed = {item.stage.name: item for item in _layout(picture.stages)}
    width = max(item.box.x + item.box.width for item in placed.values()) + MARGIN
    height = max(item.box.y + item.box.height for item in placed.values()) + MARGIN
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        f"<title>{escape(picture.title)}</title><style>{STYLE}</style><defs>{TIP}</defs>",
        '<rect class="p" width="100%" height="100%"/>',
        f'<text class="t" x="{MARGIN}" y="{MARGIN + 10}">{escape(picture.title)}</text>',
    ]
    for item in placed.values():
        parts += [_edge(placed[need].box, item.box) for need in item.stage.needs]
    for item in placed.values():
        parts += _stage(item)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _layout(stages: tuple[DrawnStage, ...]) -> Iterator[Placed]:
    x: float = MARGIN
    for _, layer in groupby(sorted(stages, key=lambda stage: stage.layer), key=lambda stage: stage.layer):
        y: float = MARGIN + HEAD
        widest = 0.0
        for stage in layer:
            inside = _place_actions(stage)
            right = max(box.x + box.width for box in inside.values())
            box = Box(x, y, max(right, _text_width(stage.name)) + GAP, max(box.y + box.height for box in inside.values()) + GAP)
            yield Placed(stage, box, {name: action.moved(x, y) for name, action in inside.items()})
            y += box.height + GAP * 2
            widest = max(widest, box.width)
        x += widest + BETWEEN_LAYERS


def _place_actions(stage: DrawnStage) -> dict[str, Box]:
    """Places relative to the stage: a column for each level, wide enough for its longest label."""
    boxes = {}
    x: float = GAP
    for level in range(1 + max(action.level for action in stage.actions)):
        column = [action for action in stage.actions if action.level == level]
        width = max(_text_width(label(action)) for action in column)
        for row, action in enumerate(column):
            boxes[action.name] = Box(x, HEAD + row * (ROW + GAP), width, ROW)
        x += width + BETWEEN_LEVELS
    return boxes


def _text_width(words: str) -> float:
    return len(words) * LETTER + 2 * GAP


def _stage(item: Placed) -> Iterator[str]:
    box = item.box
    yield f"<g><title>{escape('; '.join(item.stage.notes) or item.stage.name)}</title>{_rectangle(box, 's')}"
    yield f'<text class="t" x="{box.x + GAP:.1f}" y="{box.y + 18:.1f}">{escape(item.stage.name)}</text></g>'
    for action in item.stage.actions:
        yield from (_edge(item.actions[need], item.actions[action.name]) for need in action.needs)
    for action in item.stage.actions:
        yield _action(action, item.actions[action.name])


def _action(action: DrawnAction, box: Box) -> str:
    words = f'<text x="{box.x + GAP:.1f}" y="{box.y + 19:.1f}">{escape(label(action))}</text>'
    style = " ".join(filter(None, ("a", "c" if action.is_critical else "", action.status.replace(" ", "-"))))
    told = "; ".join(filter(None, (printable(action.does), action.status)))
    return f"<g><title>{escape(told)}</title>{_rectangle(box, style)}{words}</g>"


def _rectangle(box: Box, style: str) -> str:
    return f'<rect class="{style}" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="5"/>'


def _edge(before: Box, after: Box) -> str:
    """A curve from the right side of one box to the left side of another."""
    x1, y1 = before.x + before.width, before.y + before.height / 2
    x2, y2 = after.x, after.y + after.height / 2
    bend = (x1 + x2) / 2
    return f'<path class="e" d="M{x1:.1f} {y1:.1f}C{bend:.1f} {y1:.1f} {bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"/>'
