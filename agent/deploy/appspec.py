"""AWS's appspec.yml for EC2 and on-premises hosts, read as it is (codepipeline.md 4.1): files, permissions, hooks.

Every mistake is told at once, with its place. Durations are seconds, paths on hosts are texts with one form: no `//`, no `..`.
"""

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping

from agent.definition.deployment import EXISTS, Exists
from agent.definition.diagnostics import Diagnostic, ordered, render
from agent.definition.load import Loaded
from agent.definition.nodes import MAX_BYTES, BrokenFileError, Items, Node, Scalar, Table, decode, read, too_large
from agent.definition.source import REGULAR, Tree, find
from agent.deploy.lifecycle import RESERVED, SCRIPTED
from agent.errors import DefinitionError
from agent.model.span import Span
from agent.model.value import Value

CODE = "GP850"
LONGEST = 3600  # seconds of all scripts of one event together
_KEYS = ("version", "os", "files", "permissions", "hooks", "file_exists_behavior")
_FILE_KEYS = ("source", "destination")
_HOOK_KEYS = ("location", "timeout", "runas", "sudo")
_PERMISSION_KEYS = ("object", "pattern", "except", "owner", "group", "mode", "acls", "context", "type")


class AppSpecError(DefinitionError):
    """An appspec file is wrong; the message holds every mistake with its line."""


class Install(Value, frozen=True, kw_only=True):
    """`source` is relative to the release ("" is all of it); `destination` an absolute directory."""

    source: str
    destination: str


class Hook(Value, frozen=True, kw_only=True):
    """A script of the release, by its path in it."""

    location: str
    timeout: int = LONGEST
    runas: str = ""
    sudo: bool = False


class Permission(Value, frozen=True, kw_only=True):
    """What installed files below `object` (or the file itself) get. Globs know only `*`, which never matches a slash."""

    object: str
    pattern: str = "**"
    excepts: tuple[str, ...] = ()
    owner: str = ""
    group: str = ""
    mode: str = ""
    acls: tuple[str, ...] = ()
    context: Mapping[str, str] = {}
    types: tuple[str, ...] = ("file", "directory")


class AppSpec(Value, frozen=True, kw_only=True):
    """The whole file. `exists` is None where it does not say."""

    files: tuple[Install, ...] = ()
    permissions: tuple[Permission, ...] = ()
    hooks: Mapping[str, tuple[Hook, ...]] = {}
    exists: Exists | None = None


def parse(path: str, data: bytes) -> AppSpec:
    """Read an appspec file. Raises AppSpecError with every mistake, each with file, line, column and a hint."""
    spec, problems = _read(path, data)
    if problems:
        raise AppSpecError(render(problems, {path: data.decode(errors="replace")}))
    return spec


def complete(loaded: Loaded, tree: Tree) -> Loaded:
    """What was read of a commit, with what is wrong in the appspec files that it must have."""
    problems: list[Diagnostic] = []
    sources: dict[str, str] = {}
    for path, missing in loaded.needed:
        entry = find(tree, path)
        if entry is None or entry.mode not in REGULAR:
            problems.append(missing)
        elif entry.size > MAX_BYTES:
            problems.append(too_large(path, entry.size))
        elif path not in sources:
            data = tree.read(path)
            sources[path] = data.decode(errors="replace")
            problems += _read(path, data)[1]
    return loaded._replace(diagnostics=ordered([*loaded.diagnostics, *problems]), sources=loaded.sources | sources)


def _read(path: str, data: bytes) -> tuple[AppSpec, tuple[Diagnostic, ...]]:
    try:
        root, faults = read(path, decode(path, data))
    except BrokenFileError as error:
        return AppSpec(), (error.diagnostic,)
    reader = _Reader(path)
    spec = reader.whole(root)
    return spec, ordered([*faults, *reader.problems])


def check(spec: AppSpec, path: str, files: Collection[str]) -> None:
    """What only the revision tells. Raises AppSpecError for scripts and sources that it lacks, before any host is touched."""
    problems = [
        f"script {hook.location} of {event} is missing"
        for event, hooks in spec.hooks.items()
        for hook in hooks
        if hook.location not in files
    ]
    for entry in spec.files:
        if entry.source and entry.source not in files and not any(name.startswith(f"{entry.source}/") for name in files):
            problems.append(f"source {entry.source} is missing")
    single = {
        f"{entry.destination.rstrip('/')}/{posixpath.basename(entry.source)}" for entry in spec.files if entry.source in files
    }
    for permission in spec.permissions:
        if permission.object in single and (permission.pattern != "**" or permission.excepts):
            problems.append(f"`pattern` and `except` have no meaning for {permission.object}, which is a single file")
    if problems:
        raise AppSpecError("\n".join(f"{path}: {problem}" for problem in problems), hint="paths are relative to the revision")


class _Reader:
    """Reads node by node and collects what is wrong."""

    def __init__(self, path: str) -> None:
        self.problems: list[Diagnostic] = []
        self._path = path

    def whole(self, root: Node) -> AppSpec:
        if not isinstance(root, Table):
            self._bad(root, "an appspec file is a mapping", "it begins with `version: 0.0`")
            return AppSpec()
        self._known(root, _KEYS)
        self._version(root)
        windows = self._system(root)
        if windows and (found := root.get("permissions")):
            self._bad(found, "`permissions` are for linux only")
        return AppSpec(
            files=tuple(self._files(root)),
            permissions=tuple(self._permissions(root)),
            hooks=self._hooks(root),
            exists=self._exists(root),
        )

    def _version(self, root: Table) -> None:
        version = root.get("version")
        if version is None:
            self._bad(root, "`version` is missing", "write `version: 0.0`")
        elif self._text(version) != "0.0":
            self._bad(version, f"version {self._text(version) or '?'} is not supported", "the only version for hosts is 0.0")

    def _system(self, root: Table) -> bool:
        system = root.get("os")
        name = self._text(system) if system else ""
        if system is None:
            self._bad(root, "`os` is missing", "write `os: linux`")
        elif name not in {"linux", "windows"}:
            self._bad(system, f"os {name!r} is not supported", "`linux` is")
        elif name == "windows":
            self._bad(system, "hosts with Windows cannot be deployed to", "`os: linux` is what SSH hosts are")
        return name == "windows"

    def _files(self, root: Table) -> Iterator[Install]:
        seen: dict[tuple[str, str], Span] = {}
        for entry in self._entries(root, "files", _FILE_KEYS):
            source, destination = self._inside(entry, "source"), self._absolute(entry, "destination")
            if source is None or destination is None:
                continue
            target = (destination, posixpath.basename(source))
            if first := seen.get(target):
                self._bad(entry, f"{destination} already gets a {source or '/'}, in line {first.line}")
            seen[target] = entry.span
            yield Install(source=source, destination=destination)

    def _permissions(self, root: Table) -> Iterator[Permission]:
        seen: dict[str, Span] = {}
        for entry in self._entries(root, "permissions", _PERMISSION_KEYS):
            target = self._absolute(entry, "object")
            if target is None:
                continue
            if first := seen.get(target):
                self._bad(entry, f"{target} has permissions already, in line {first.line}", "an object is set once")
            seen[target] = entry.span
            yield self._permission(entry, target)

    def _permission(self, entry: Table, target: str) -> Permission:
        types = self._texts(entry, "type") or ("file", "directory")
        for word in set(types) - {"file", "directory"}:
            self._bad(entry.get("type") or entry, f"type {word!r} is neither `file` nor `directory`")
        mode = self._field(entry, "mode")
        if mode and not re.fullmatch(r"[0-7]{1,4}", mode):
            self._bad(entry.get("mode") or entry, f"mode {mode!r} is not numeric", 'write it as "0644"')
        return Permission(
            object=target,
            pattern=self._field(entry, "pattern") or "**",
            excepts=self._texts(entry, "except"),
            owner=self._field(entry, "owner"),
            group=self._field(entry, "group"),
            mode=mode,
            acls=self._texts(entry, "acls"),
            context=self._context(entry),
            types=types,
        )

    def _context(self, entry: Table) -> dict[str, str]:
        node = entry.get("context")
        if node is None:
            return {}
        if not isinstance(node, Table):
            self._bad(node, "`context` is a mapping of user, type and range")
            return {}
        self._known(node, ("user", "type", "range"))
        return {key.text: self._text(value) for key, value in node.entries}

    def _hooks(self, root: Table) -> dict[str, tuple[Hook, ...]]:
        node = root.get("hooks")
        if node is None or (isinstance(node, Scalar) and node.is_nothing):
            return {}
        if not isinstance(node, Table):
            self._bad(node, "`hooks` is a mapping of lifecycle events")
            return {}
        return {key.text: self._event(key, value) for key, value in node.entries}

    def _event(self, key: Scalar, node: Node) -> tuple[Hook, ...]:
        if key.text in RESERVED:
            self._bad(key, f"{key.text} is reserved and takes no scripts", f"events with scripts: {', '.join(SCRIPTED)}")
        elif key.text not in SCRIPTED:
            self._bad(key, f"unknown lifecycle event {key.text}", f"events: {', '.join(SCRIPTED)}")
        hooks = tuple(hook for item in self._items(node, key.text) if (hook := self._hook(item)))
        if sum(hook.timeout for hook in hooks if hook.timeout) > LONGEST and len(hooks) > 1:
            hooks = self._shared_time(key, node, hooks)
        return hooks

    def _shared_time(self, key: Scalar, node: Node, hooks: tuple[Hook, ...]) -> tuple[Hook, ...]:
        """Only times that were written count: a script without one may take what the others leave."""
        items = [item for item in self._items(node, key.text) if isinstance(item, Table)]
        written = sum(hook.timeout for hook, item in zip(hooks, items, strict=False) if item.get("timeout"))
        if written > LONGEST:
            self._bad(key, f"the scripts of {key.text} may take {written} s together; the most is {LONGEST}")
        return hooks

    def _hook(self, node: Node) -> Hook | None:
        if not isinstance(node, Table):
            self._bad(node, "a script is a mapping", "write `- location: scripts/name.sh`")
            return None
        self._known(node, _HOOK_KEYS)
        location = self._inside(node, "location")
        if not location:
            if location == "":
                self._bad(node, "a script needs a `location`", "its path inside the revision")
            return None
        return Hook(
            location=location,
            timeout=self._timeout(node),
            runas=self._field(node, "runas"),
            sudo=self._field(node, "sudo").lower() in {"true", "yes", "on"},
        )

    def _timeout(self, node: Table) -> int:
        written = node.get("timeout")
        if written is None:
            return LONGEST
        text = self._text(written)
        if not re.fullmatch(r"[0-9]{1,6}", text) or not 0 < int(text) <= LONGEST:
            self._bad(written, f"timeout {text!r} is not a number of seconds from 1 to {LONGEST}")
            return LONGEST
        return int(text)

    def _exists(self, root: Table) -> Exists | None:
        node = root.get("file_exists_behavior")
        if node is None:
            return None
        said = self._text(node).upper()
        for known in EXISTS:
            if said == known:
                return known
        self._bad(node, f"file_exists_behavior {self._text(node)!r}", f"known are {', '.join(EXISTS)}")
        return None

    def _entries(self, root: Table, key: str, known: tuple[str, ...]) -> Iterator[Table]:
        for item in self._items(root.get(key), key):
            if isinstance(item, Table):
                self._known(item, known)
                yield item
            else:
                self._bad(item, f"an entry of `{key}` is a mapping", f"write `- {known[0]}: …`")

    def _items(self, node: Node | None, what: str) -> tuple[Node, ...]:
        if node is None or (isinstance(node, Scalar) and node.is_nothing):
            return ()
        if isinstance(node, Items):
            return node.items
        message = f"`{what}` is a list"
        if not any(problem.message == message and problem.span == node.span for problem in self.problems):
            self._bad(node, message, "each entry begins with `- `")
        return ()

    def _inside(self, entry: Table, key: str) -> str | None:
        """A path in the revision; "" is all of it. None where it is missing or wrong, which is said."""
        node = entry.get(key)
        if node is None:
            self._bad(entry, f"`{key}` is missing")
            return None
        path = posixpath.normpath(self._text(node).lstrip("/") or ".")
        if path.startswith("..") or not self._one_line(node):
            self._bad(node, f"{key} {self._text(node)!r} leads out of the revision")
            return None
        return "" if path == "." else path

    def _absolute(self, entry: Table, key: str) -> str | None:
        node = entry.get(key)
        if node is None:
            self._bad(entry, f"`{key}` is missing")
            return None
        text = self._text(node)
        if not text.startswith("/") or not self._one_line(node):
            self._bad(node, f"{key} {text!r} is not an absolute path", "it begins with /")
            return None
        return "/" + posixpath.normpath(text).lstrip("/")

    def _one_line(self, node: Node) -> bool:
        return not set(self._text(node)) & {"\n", "\0"}

    def _texts(self, entry: Table, key: str) -> tuple[str, ...]:
        node = entry.get(key)
        if isinstance(node, Scalar) and not node.is_nothing:
            return (node.text,)
        return tuple(self._text(item) for item in self._items(node, key))

    def _field(self, entry: Table, key: str) -> str:
        node = entry.get(key)
        return self._text(node) if node else ""

    def _text(self, node: Node) -> str:
        if isinstance(node, Scalar):
            return "" if node.is_nothing else node.text
        self._bad(node, "a text is expected here")
        return ""

    def _known(self, entry: Table, known: tuple[str, ...]) -> None:
        for key, _ in entry.entries:
            if key.text not in known:
                self._bad(key, f"unknown key `{key.text}`", f"known are {', '.join(known)}")

    def _bad(self, node: Node, message: str, hint: str = "") -> None:
        self.problems.append(Diagnostic(CODE, node.span, message, hint))
