"""Buildspecs put into the actions that name them: nodes in, nodes out, so that nothing after this knows of buildspecs.

An action with `buildspec: buildspec.yml` becomes one with `run`, and with the `env`, `outputs`, `artifacts`, `cache` and so on
that the file says. Every node keeps its place, so a mistake in the buildspec is told there.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from pydantic import ValidationError

from agent.definition.buildspec.document import PHASES, Buildspec, SecondaryArtifact
from agent.definition.buildspec.script import script
from agent.definition.diagnostics import Diagnostic
from agent.definition.document import Action, BuildspecFile
from agent.definition.expand import KINDS, MAX_INSERTED, Expanded, change_actions, unknown
from agent.definition.nodes import Items, Node, Scalar, Table, plain, table, walk
from agent.definition.references import OPENING
from agent.definition.shape import Path, locate
from agent.model.span import Span

OURS = "CODEBUILD_"
_WILD = re.compile(r"[*?\[\]{}]")
_HASHED = re.compile(r"\$\(codebuild-hash-files\s+([^)]*)\)")
_SECRETS = ("parameter-store", "secrets-manager")


class Spec(NamedTuple):
    """A buildspec of the commit; `model` is None where it is broken, which has been told already."""

    path: str
    model: Buildspec | None
    root: Node

    def at(self, *loc: str | int) -> Node:
        """The value at a path of the file, or what is nearest to it."""
        return locate(self.root, loc).node

    def say(self, code: str, loc: Path, message: str, hint: str = "", *, on_key: bool = False) -> Diagnostic:
        place = locate(self.root, loc)
        node: Node = place.key if on_key and place.key else place.node
        return Diagnostic(code, node.span, message, hint, node.width if isinstance(node, Scalar) else 1)


Find = Callable[[str], Spec | str]  # the buildspec at a path of the commit, or why there is none


def named(value: Node) -> BuildspecFile | None:
    """What `buildspec:` of an action says; None if it is malformed, which the reader of the action tells."""
    try:
        return Action.model_validate({"name": "x", "buildspec": plain(value)}).buildspec
    except ValidationError:
        return None


def expand(root: Node, find: Find) -> Expanded:
    """Replace every `buildspec` of a pipeline file."""
    expansion = _Expansion(find)
    return Expanded(change_actions(root, expansion.action), frozenset(expansion.lost), tuple(expansion.diagnostics))


class _Expansion:
    def __init__(self, find: Find) -> None:
        self._find = find
        self._left = MAX_INSERTED
        self.diagnostics: list[Diagnostic] = []
        self.lost: set[str] = set()

    def action(self, action: Node) -> Node:
        if not isinstance(action, Table) or any(action.key(kind) for kind in KINDS if kind != "buildspec"):
            return action
        key, value = action.key("buildspec"), action.get("buildspec")
        use = named(value) if value is not None else None
        if key is None or use is None:
            return action
        at = _file_of(value, key)
        if OPENING in use.file:
            self._say("GP308", at, "nothing is looked up here: the file is read when the push is judged", "write the path itself")
            return self._unknown(action, use)
        spec = self._find(use.file)
        if isinstance(spec, str):
            self._say("GP905", at, spec, "write its path from the root of the commit, such as buildspec.yml")
            return self._unknown(action, use)
        if spec.model is None:
            self.lost |= {scalar.text for scalar in walk(spec.root)}
            return self._unknown(action, use)
        self.diagnostics += _objections(spec, spec.model, action)
        made = _Made(spec, spec.model, use, action)
        self._left -= len(made.run.text)
        if self._left < 0:
            self._say("GP009", key, "buildspecs make this pipeline too large", "divide it into several pipelines")
            return self._unknown(action, use)
        return _merged(action, key, made)

    def _unknown(self, action: Table, use: BuildspecFile) -> Table:
        self.lost.add(use.artifact)
        return unknown(action, "buildspec", self.lost)

    def _say(self, code: str, at: Scalar, message: str, hint: str) -> None:
        self.diagnostics.append(Diagnostic(code, at.span, message, hint, at.width))


def _file_of(value: Node | None, key: Scalar) -> Scalar:
    """Where the path is written, or the key that means the usual one."""
    file = value.get("file") if isinstance(value, Table) else value
    return file if isinstance(file, Scalar) and file.text != "true" else key


class _Made:
    """The keys of an action that a buildspec stands for."""

    def __init__(self, spec: Spec, model: Buildspec, use: BuildspecFile, action: Table) -> None:
        self._spec, self._model, self._use = spec, model, use
        self._notices: list[str] = []
        name = action.get("name")
        self._name = name.text if isinstance(name, Scalar) else ""
        self.keys = dict(self._keys())
        inputs = action.get("inputs")
        names = [key.text for key, _ in inputs.entries] if isinstance(inputs, Table) else [one.text for one in _scalars(inputs)]
        text = script(model, names, [*_passed_over(model), *self._notices])
        self.run = Scalar(text, False, Span(spec.path, 1, 1), last=max(scalar.last for scalar in walk(spec.root)))

    def _keys(self) -> Iterator[tuple[str, Node]]:
        model, spec = self._model, self._spec
        if model.env.shell:
            yield "shell", _text(model.env.shell.removeprefix("/bin/"), spec.at("env", "shell"))
        if model.run_as:
            yield "user", spec.at("run-as")
        if model.env.variables:
            yield "env", spec.at("env", "variables")
        if model.env.exported_variables:
            yield "outputs", spec.at("env", "exported-variables")
        if attempts := max((count for _, count, _ in _retrying(model)), default=0):
            at = next(phase for phase, count, _ in _retrying(model) if count == attempts)
            yield "retries", _text(str(attempts), spec.at("phases", at, "on-failure"))
        if artifacts := list(self._artifacts()):
            yield "artifacts", table(artifacts, spec.at("artifacts").span)
        if model.cache and (paths := list(self._cached(model.cache.paths))):
            yield "cache", self._cache(paths, model.cache.key)
        if reports := list(self._reports()):
            yield "reports", _table(spec.at("reports"), junit=Items(tuple(reports), spec.at("reports").span))

    def _artifacts(self) -> Iterator[tuple[Scalar, Node]]:
        """As in CodePipeline: secondary artifacts take the place of the primary one, unless the action names it."""
        primary = self._model.artifacts
        if primary.files and (self._use.artifact or not primary.secondary):
            key = _text(self._use.artifact or self._name, self._spec.at("artifacts"))
            yield key, self._artifact(primary, "artifacts")
        for name, artifact in primary.secondary.items():
            at = locate(self._spec.root, ("artifacts", "secondary-artifacts", name))
            yield at.key or _text(name, at.node), self._artifact(artifact, "artifacts", "secondary-artifacts", name)

    def _artifact(self, artifact: SecondaryArtifact, *loc: str) -> Table:
        at = self._spec.at(*loc)
        keys: dict[str, Node] = {"files": self._paths((*loc, "files"), artifact.files)}
        if artifact.exclude_paths:
            keys["exclude"] = self._paths((*loc, "exclude-paths"), artifact.exclude_paths)
        if base := _relative(artifact.base_directory):
            keys["base"] = _text(base, self._spec.at(*loc, "base-directory"))
        if artifact.discard_paths:
            keys["flat"] = _text("true", self._spec.at(*loc, "discard-paths"))
        return _table(at, **keys)

    def _paths(self, loc: Path, paths: tuple[str, ...], base: str = "") -> Items:
        """Globs as ours are written, each in its place."""
        texts = (_text(f"{base}{_relative(path)}", self._spec.at(*loc, at)) for at, path in enumerate(paths))
        return Items(tuple(texts), self._spec.at(*loc).span)

    def _cached(self, paths: tuple[str, ...]) -> Iterator[Scalar]:
        """Directories; the home of CodeBuild, /root, is that of the script."""
        for at, path in enumerate(paths):
            directory = re.sub(r"^/root(?=/|$)", "~", re.sub(r"(/\*\*)?(/\*)?$", "", path)).removeprefix("./")
            if not directory or _WILD.search(directory):
                self._notices.append(f"cache path {path} is not kept: only whole directories are")
            else:
                yield _text(directory, self._spec.at("cache", "paths", at))

    def _cache(self, paths: list[Scalar], key: str) -> Table:
        at = self._spec.at("cache")
        files = [name for found in _HASHED.finditer(key) for name in re.split(r"[\s,]+", found[1].strip()) if name]
        rest = _HASHED.sub("", key)
        if "$" in rest or "`" in rest:
            self._notices.append(f"cache key {key}: only codebuild-hash-files is computed, the rest is taken as it is written")
        keys: dict[str, Node] = {"paths": Items(tuple(paths), at.span)}
        if files:
            keys["key_files"] = Items(tuple(_text(name, self._spec.at("cache", "key")) for name in files), at.span)
        if rest:
            keys["key"] = _text(rest, self._spec.at("cache", "key"))
        return _table(at, **keys)

    def _reports(self) -> Iterator[Node]:
        for group, report in self._model.reports.items():
            if report.file_format.upper() != "JUNITXML":
                self._notices.append(f"reports {group}: only JUNITXML is summed up, not {report.file_format}")
                continue
            base = _relative(report.base_directory)
            yield from self._paths(("reports", group, "files"), report.files, f"{base}/" if base else "").items


def _merged(action: Table, key: Scalar, made: _Made) -> Table:
    """The keys of the buildspec below those of the action; `env`, `artifacts` and `outputs` are put together."""
    entries: dict[str, tuple[Scalar, Node]] = {"run": (key._replace(text="run"), made.run)}
    entries |= {name: (_text(name, value), value) for name, value in made.keys.items()}
    for name, (own_key, own) in action.fields.items():
        if name != "buildspec":
            entries[name] = (own_key, _together(name, entries[name][1], own) if name in entries else own)
    return Table(entries, action.span)


def _together(name: str, below: Node, own: Node) -> Node:
    if name in {"env", "artifacts"} and isinstance(below, Table) and isinstance(own, Table):
        return Table({**below.fields, **own.fields}, own.span)
    if name == "outputs" and isinstance(below, Items):
        mine = own.items if isinstance(own, Items) else (own,)
        return Items((*mine, *(item for item in below.items if item not in mine)), own.span)
    return own


def _objections(spec: Spec, model: Buildspec, action: Table) -> Iterator[Diagnostic]:
    """GP906 and its like: what cannot be done as the file says, in an action that does not say it otherwise."""
    if not any(model.phases.of(name).commands or model.phases.of(name).finally_ for name in PHASES):
        yield spec.say("GP805", ("phases",), "the buildspec has no command", on_key=True)
    for name in model.env.variables:
        if name.startswith((OURS, "PIPELINE_")):
            message = f"'{name}': variables that begin with {OURS} or PIPELINE_ are set by the agent"
            yield spec.say("GP311", ("env", "variables", name), message, "give it another name", on_key=True)
    yield from _secrets(spec, model, action)
    yield from _users(spec, model)
    for phase, _, pattern in _retrying(model) if not action.key("retries") else ():
        if pattern:
            hint = "write RETRY or RETRY-2 there, or `retries` in the action"
            yield spec.say("GP906", ("phases", phase, "on-failure"), "a failure is retried whatever its message is", hint)
    for loc, base in _bases(model):
        if _WILD.search(base):
            yield spec.say("GP906", (*loc, "base-directory"), f"{base!r} is not one directory", "write it without wildcards")


def _secrets(spec: Spec, model: Buildspec, action: Table) -> Iterator[Diagnostic]:
    given = _secret_variables(action.get("secrets"))
    for section, names in zip(_SECRETS, (model.env.parameter_store, model.env.secrets_manager), strict=True):
        for name in names:
            if name not in given:
                message = f"{name} is a secret, and those are the operator's to give"
                hint = f"write `secrets: [{name}]` in the action; the operator's config says where [secrets.{name}] comes from"
                yield spec.say("GP906", ("env", section, name), message, hint, on_key=True)
            if name in model.env.exported_variables:
                at = model.env.exported_variables.index(name)
                yield spec.say("GP906", ("env", "exported-variables", at), f"{name} is a secret, and cannot be exported")


def _secret_variables(secrets: Node | None) -> frozenset[str]:
    """The environment variables that `secrets` of an action fills."""
    if isinstance(secrets, Table):
        return frozenset(value.text for _, value in secrets.entries if isinstance(value, Scalar))
    return frozenset(item.text for item in _scalars(secrets))


def _users(spec: Spec, model: Buildspec) -> Iterator[Diagnostic]:
    for name in PHASES:
        user = model.phases.of(name).run_as
        if user and user != (model.run_as or "root"):
            message = f"all phases run as one user, not {user[:60]!r} in this one"
            yield spec.say("GP906", ("phases", name, "run-as"), message, "write `run-as` at the top, or `user` in the action")


def _retrying(model: Buildspec) -> list[tuple[str, int, str]]:
    """Phases that are to be retried: name, count, and the pattern that the error must match."""
    found = [(name, model.phases.of(name).on_failure) for name in PHASES]
    return [(name, failing.attempts, failing.pattern) for name, failing in found if failing and failing.kind == "retry"]


def _bases(model: Buildspec) -> Iterator[tuple[Path, str]]:
    yield ("artifacts",), model.artifacts.base_directory
    for name, artifact in model.artifacts.secondary.items():
        yield ("artifacts", "secondary-artifacts", name), artifact.base_directory


def _passed_over(model: Buildspec) -> Iterator[str]:
    """What the log says of keys that have no meaning outside of CodeBuild."""
    if any(model.phases.of(name).runtime_versions for name in PHASES):
        yield "runtime-versions: the image of the action says which runtimes there are"
    if model.batch:
        yield "batch: this action is a single build"
    if model.proxy:
        yield "proxy: the operator says how containers reach the network"
    if model.cache and (model.cache.action or model.cache.fallback_keys):
        yield "cache: caches are restored and saved, and an older one is found by itself"


def _relative(path: str) -> str:
    """A path without `./` and a last `/`; the current directory is empty."""
    shortened = str(PurePosixPath(path)) if path else ""
    return "" if shortened == "." else shortened


def _scalars(node: Node | None) -> list[Scalar]:
    """The texts of a list, or of a single one."""
    items = node.items if isinstance(node, Items) else (node,)
    return [item for item in items if isinstance(item, Scalar)]


def _text(text: str, at: Node) -> Scalar:
    if isinstance(at, Scalar):
        return at._replace(text=text, plain=False)
    return Scalar(text, False, at.span)


def _table(at: Node, **values: Node) -> Table:
    return table(((_text(key, value), value) for key, value in values.items()), at.span)
