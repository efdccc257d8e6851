"""docs/language.md as data: its tables, made of the models, and its examples, made into files.

`python -m tests.support.reference` writes the tables anew.
"""

import re
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from agent.definition.codes import CODES
from agent.definition.document import ReusableAction
from agent.definition.schema import models
from agent.model.quantity import spell

PAGE = Path(__file__).parents[2] / "docs" / "language.md"
MARK = re.compile(r"(<!-- (keys|codes): (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
EXAMPLE = re.compile(r"^```yaml ?(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

_STAGES = "stages:\n  - name: build\n    actions: [{name: a, image: alpine, run: make}]\n"
_ACTION = "defaults: {image: alpine}\nstages:\n  - name: build\n    actions:\n"


class Example(NamedTuple):
    """A fenced block of the page. `kind` says what it is a part of: a whole file, or one that the reader is to imagine."""

    kind: str
    text: str
    line: int

    def files(self) -> dict[str, bytes]:
        """The example as files of a tree, with what it leaves out."""
        if self.kind == "reusable":
            caller = "stages: [{name: s, actions: [{name: a, use: .pipeline/actions/lint.yaml, with: {target: x}}]}]"
            return {".pipeline/actions/lint.yaml": self.text.encode(), ".pipeline/release.yaml": caller.encode()}
        if self.kind == "use":
            action = "parameters: {python: '3.11', target: {}}\naction: {image: x, run: make}"
            text = _ACTION + _indented(self.text, 6)
            return {".pipeline/actions/lint.yaml": action.encode(), ".pipeline/release.yaml": text.encode()}
        if self.kind in {"buildspec", "spec"}:
            spec = self.text if self.kind == "spec" else "version: 0.2\nphases: {build: {commands: [make]}}"
            text = _ACTION + _indented(self.text if self.kind == "buildspec" else "- {name: a, buildspec: true}\n", 6)
            specs = dict.fromkeys(("buildspec.yml", "ci/web.yml", "ci/docs.yml"), spec.encode())
            return {".pipeline/release.yaml": text.encode(), **specs}
        whole = {
            "": self.text,
            "top": self.text + _STAGES,
            "actions": _ACTION + _indented(self.text, 6),
            "stages": "variables: {environment: staging}\ndefaults: {image: alpine}\nstages:\n" + _indented(self.text, 2),
        }
        return {".pipeline/release.yaml": whole[self.kind].encode()}


def examples(page: Path = PAGE) -> list[Example]:
    text = page.read_text()
    return [Example(found[1], found[2], text.count("\n", 0, found.start()) + 1) for found in EXAMPLE.finditer(text)]


def keys(model: type[BaseModel]) -> dict[str, str]:
    """Description by key, as a file writes it."""
    hidden = {("Pipeline", "name"), ("Matrix", "axes")}
    fields = model.model_fields.items()
    return {field.alias or name: field.description or "" for name, field in fields if (model.__name__, name) not in hidden}


def written() -> str:
    """The page with its tables as they are to be."""
    sections = {model.__name__: model for model in (*models(), ReusableAction)}

    def block(found: re.Match[str]) -> str:
        return found[1] + (table(sections[found[3]]) if found[2] == "keys" else _codes()) + found[5]

    return MARK.sub(block, PAGE.read_text())


def table(model: type[BaseModel], without: Container[str] = ()) -> str:
    """The keys of a model, but for those of these names."""
    defaults = {field.alias or name: _default(field.default, field.is_required()) for name, field in model.model_fields.items()}
    rows = [f"| `{key}` | {defaults[key]} | {meaning} |" for key, meaning in keys(model).items() if key not in without]
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *rows, ""])


def _default(value: object, is_required: bool) -> str:
    if is_required:
        return "*required*"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if value is PydanticUndefined or value in (None, "", (), {}):  # what is made anew each time has no short form
        return ""
    return f"`{spell(value) if hasattr(value, 'total_seconds') else value}`"


def _codes() -> str:
    return "\n".join(["| code | what |", "|---|---|", *(f"| {code} | {what} |" for code, what in CODES.items()), ""])


def _indented(text: str, width: int) -> str:
    return "".join(" " * width + line if line.strip() else line for line in text.splitlines(keepends=True))


if __name__ == "__main__":
    PAGE.write_text(written())
