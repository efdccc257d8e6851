"""The one door to pipeline files: `load(tree)` reads and judges all of `.pipeline/`."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import NamedTuple

from agent.definition import expand
from agent.definition.buildspec import action as buildspec
from agent.definition.buildspec.document import Buildspec
from agent.definition.diagnostics import Diagnostic, ordered, render
from agent.definition.document import Pipeline, ReusableAction
from agent.definition.entry import entry
from agent.definition.needed import Needed, needed
from agent.definition.nodes import MAX_BYTES, BrokenFileError, Node, Table, decode, read, too_large
from agent.definition.reading import Reading
from agent.definition.rules import started
from agent.definition.rules.table import judge
from agent.definition.shape import MAX_TOLD, Shape, prune, read_model
from agent.definition.source import DIRECTORY, REGULAR, SUBMODULE, SYMLINK, Entry, Tree, find
from agent.definition.vocabulary import ELSEWHERE
from agent.errors import DefinitionError
from agent.model.ids import NAME
from agent.model.span import Span
from agent.model.trigger import Entry as TriggerEntry

ROOT = ".pipeline"
MAX_FILES = 100
MAX_TOTAL = 4 * 1024**2  # bytes of all files together
_SUFFIXES = (".yaml", ".yml")


class Loaded(NamedTuple):
    """What was read. With diagnostics nothing of it may run; `sources` are the texts by path, for rendering them.

    `buildspecs` are the paths of those that were read; `needed` are other files that the commit must have, which
    `agent.deploy.appspec.complete` looks at.
    """

    pipelines: tuple[Pipeline, ...]
    diagnostics: tuple[Diagnostic, ...]
    sources: dict[str, str]
    needed: tuple[Needed, ...] = ()
    buildspecs: tuple[str, ...] = ()

    @property
    def outside(self) -> tuple[str, ...]:
        """The paths of all files outside of `.pipeline/` that were looked at, or are to be."""
        return tuple(dict.fromkeys([*self.buildspecs, *(one.path for one in self.needed)]))

    @property
    def report(self) -> str:
        """All diagnostics as a person reads them; empty if there is none."""
        return render(self.diagnostics, self.sources)

    @property
    def entries(self) -> tuple[TriggerEntry, ...]:
        """What hooks must know of each pipeline. Raises DefinitionError with the report if anything is wrong."""
        if self.diagnostics:
            raise DefinitionError(self.report)
        return tuple(entry(pipeline) for pipeline in self.pipelines)


def load(tree: Tree) -> Loaded:
    """Read every `.pipeline/*.yaml` and `*.yml`, and the reusable actions and buildspecs they use.

    Never raises for what a file says.
    """
    loading = _Loading(tree)
    with _uncollected():
        pipelines = tuple(loading.pipelines())
    return Loaded(pipelines, ordered(loading.diagnostics), loading.sources, tuple(loading.needed), tuple(loading.specs))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: nodes have no cycles, and looking for some takes half of the time of reading them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Loading:
    """One reading of one tree."""

    def __init__(self, tree: Tree) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.sources: dict[str, str] = {}
        self.needed: list[Needed] = []
        self.specs: dict[str, buildspec.Spec | str] = {}
        self._tree = tree
        self._readings: list[Reading] = []
        self._left = MAX_TOTAL  # bytes of buildspecs

    def pipelines(self) -> Iterator[Pipeline]:
        above = next((one for one in self._tree.entries("") if one.name == ROOT), None)
        if above is None:
            return
        if above.mode != DIRECTORY:
            self._say("GP001", ROOT, f"{ROOT} is {_kind(above)}, not a directory")
            return
        files = list(self._files(ROOT, _SUFFIXES))
        actions = list(self._files(expand.DIRECTORY, _SUFFIXES)) if self._has_actions() else []
        if not self._are_few(files, actions):
            return
        library = {path: self._reusable(path) for path, _ in actions}
        stems: dict[str, str] = {}
        for path, _ in files:
            stem = path.rsplit("/", 1)[1].rsplit(".", 1)[0]
            first = stems.setdefault(stem, path)
            if first != path:
                self._say("GP003", path, f"{first} is the pipeline '{stem}' already", "keep one of the two files")
            elif pipeline := self._pipeline(path, stem, library):
                yield pipeline
        self.diagnostics += islice(started.judge(self._readings, tuple(stems)), MAX_TOLD)

    def _has_actions(self) -> bool:
        found = next((one for one in self._tree.entries(ROOT) if one.name == "actions"), None)
        if found is None or found.mode == DIRECTORY:
            return found is not None
        self._say("GP001", expand.DIRECTORY, f"{expand.DIRECTORY} is {_kind(found)}, not a directory")
        return False

    def _files(self, directory: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, Entry]]:
        """The files to read; anything else that calls itself YAML is reported."""
        for one in self._tree.entries(directory):
            path = f"{directory}/{one.name}"
            if one.mode in {SYMLINK, SUBMODULE} and (one.mode == SUBMODULE or one.name.endswith(suffixes)):
                self._say("GP001", path, f"this is {_kind(one)}; only regular files are read", "put the file itself there")
            elif not one.name.endswith(suffixes) or one.mode == DIRECTORY:
                continue
            elif one.mode not in REGULAR:
                self._say("GP001", path, f"this is {_kind(one)}; only regular files are read")
            elif not NAME.fullmatch(one.name.rsplit(".", 1)[0]):
                message = "the name of this file is not a valid name of a pipeline"
                hint = "letters, digits, '.', '_' and '-', at most 100, beginning with a letter or digit"
                self._say("GP002", path, message, hint)
            else:
                yield path, one

    def _are_few(self, *groups: list[tuple[str, Entry]]) -> bool:
        files = [file for group in groups for file in group]
        total = sum(one.size for _, one in files)
        for path, one in files:
            if one.size > MAX_BYTES:
                self.diagnostics.append(too_large(path, one.size))
        if len(files) > MAX_FILES:
            self._say("GP004", ROOT, f"{len(files)} files; at most {MAX_FILES} are read")
        elif total > MAX_TOTAL:
            self._say("GP004", ROOT, f"the files have {total:,} bytes together; at most {MAX_TOTAL:,} are read")
        else:
            return True
        return False

    def _nodes(self, path: str) -> Node | None:
        try:
            text = decode(path, self._tree.read(path))
            self.sources[path] = text
            root, diagnostics = read(path, text)
        except BrokenFileError as error:
            self.sources.setdefault(path, self._tree.read(path)[:MAX_BYTES].decode("utf-8", "replace"))
            self.diagnostics.append(error.diagnostic)
            return None
        self.diagnostics += diagnostics
        if not isinstance(root, Table):
            hint = "it begins with a key such as `stages:`, or `version:` of a buildspec"
            self.diagnostics.append(Diagnostic("GP103", root.span, "the file is not a mapping", hint))
            return None
        return root

    def _pipeline(self, path: str, stem: str, library: dict[str, expand.Reusable]) -> Pipeline | None:
        root = self._nodes(path)
        if root is None:
            return None
        expanded = expand.expand(self._nameless(root), library)
        built = buildspec.expand(expanded.root, self._buildspec)
        shape: Shape[Pipeline] = read_model(Pipeline, built.root)
        self.diagnostics += [*expanded.diagnostics, *islice(built.diagnostics, MAX_TOLD), *shape.diagnostics]
        if shape.model is None:
            return None
        pipeline = shape.model.model_copy(update={"name": stem})
        reading = Reading(pipeline, shape.root, shape.lost | expanded.lost | built.lost, self.sources)
        self._readings.append(reading)
        self.diagnostics += islice(judge(reading), MAX_TOLD)
        self.needed += needed(reading)
        return pipeline

    def _nameless(self, root: Node) -> Node:
        """`name` is a field of the model and no key of the file."""
        key = root.key("name") if isinstance(root, Table) else None
        if key is None:
            return root
        hint = ELSEWHERE["Pipeline", "name"]
        self.diagnostics.append(Diagnostic("GP101", key.span, "a pipeline has no key 'name'", hint, key.width))
        return prune(root, [("name",)])

    def _reusable(self, path: str) -> expand.Reusable:
        root = self._nodes(path)
        if root is None:
            return expand.Reusable(path, None, Table({}, Span(path)))
        shape: Shape[ReusableAction] = read_model(ReusableAction, root)
        action = shape.root.get("action") if isinstance(shape.root, Table) else None
        keys = action if isinstance(action, Table) else Table({}, root.span)
        reusable = expand.Reusable(path, shape.model if isinstance(action, Table) else None, keys, shape.lost)
        told = chain(shape.diagnostics, expand.check_file(reusable), expand.check_parameters(reusable))
        self.diagnostics += islice(told, MAX_TOLD)
        return reusable

    def _buildspec(self, path: str) -> buildspec.Spec | str:
        """The buildspec at a path of the commit, read once, or why there is none."""
        if path not in self.specs:
            self.specs[path] = self._no_file(path) or self._read_buildspec(path)
        return self.specs[path]

    def _no_file(self, path: str) -> str:
        parts = path.split("/")
        if not path.isprintable() or any(part in {"", ".", ".."} for part in parts):
            return f"{path[:120]!r} is not a path of a file in the commit"
        found = find(self._tree, path)
        if found is None:
            return f"there is no {path[:120]}"
        if found.mode not in REGULAR:
            return f"{path[:120]} is {_kind(found)}; only regular files are read"
        self._left -= found.size
        if found.size > MAX_BYTES or self._left < 0 or len(self.specs) >= MAX_FILES:
            return f"{path[:120]} is too large, or there are too many buildspecs"
        return ""

    def _read_buildspec(self, path: str) -> buildspec.Spec:
        root = self._nodes(path)
        if root is None:
            return buildspec.Spec(path, None, Table({}, Span(path)))
        shape: Shape[Buildspec] = read_model(Buildspec, root)
        self.diagnostics += shape.diagnostics
        return buildspec.Spec(path, None if shape.diagnostics else shape.model, shape.root)

    def _say(self, code: str, path: str, message: str, hint: str = "") -> None:
        self.diagnostics.append(Diagnostic(code, Span(path), message, hint))


def _kind(one: Entry) -> str:
    return {SYMLINK: "a symbolic link", SUBMODULE: "a submodule", DIRECTORY: "a directory"}.get(one.mode, "a file")
