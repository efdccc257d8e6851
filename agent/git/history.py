"""What commits say and how they relate: what a push changed, what it is compared with, who wrote it. The hooks import this."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from agent.errors import EnvironmentFault
from agent.git.command import Git
from agent.model.ids import Oid
from agent.model.push import RefUpdate

MAX_STEPS = 200_000  # commits that are walked to find the bases of one push; beyond, path filters pass
MAX_QUESTIONS = 100  # calls of git for the bases of one push; beyond, path filters pass

Graph = Mapping[str, Sequence[str]]


class Commit(NamedTuple):
    """What a commit says of itself. `message` is whole; `authored_at` counts seconds since 1970."""

    id: Oid
    tree: Oid
    parents: tuple[Oid, ...]
    author: str
    email: str
    authored_at: int
    message: str

    @property
    def subject(self) -> str:
        return self.message.partition("\n")[0]


def changed_paths(git: Git, update: RefUpdate) -> tuple[str, ...] | None:
    """The paths that differ between `update.base` and `update.new`, all of them without a base, None if it cannot be told."""
    return paths_between(git, update.base, update.new)


def paths_between(git: Git, old: str, new: str) -> tuple[str, ...] | None:
    """The paths that differ between two commits; with an empty `old` all paths of `new`; None where git has not both.

    Both names of a renamed file are told.
    """
    if old:
        code, out, _ = git.call("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--end-of-options", old, new)
    else:
        code, out, _ = git.call("ls-tree", "-r", "-z", "--name-only", "--full-tree", new)
    return None if code else tuple(out.decode(errors="backslashreplace").split("\0")[:-1])


def with_bases(git: Git, updates: Sequence[RefUpdate]) -> tuple[RefUpdate, ...]:
    """The updates of one push, each with its base; one call of git for all the new branches that bring commits.

    The base of a moved branch is its old commit, whatever way it moved. A new branch with new commits starts at the commit
    where they begin (empty: they have a root of their own); without new commits, at its merge base with the default
    branch. Tags and deletions have none. Works before the refs move and after.
    """
    created = {update.new: "" for update in updates if update.branch and update.is_creation and not update.is_deletion}
    if created:
        created = _Bases(git, _new_commits(git, list(created), updates)).find(created)
    return tuple(update._replace(base=_base(update, created)) for update in updates)


def base_of(git: Git, update: RefUpdate, updates: Sequence[RefUpdate] = ()) -> str:
    """The base of one update; `updates` are all of its push, needed once the refs have moved. See `with_bases`."""
    others = [other._replace(new=other.old) for other in updates if other.ref != update.ref]
    return with_bases(git, [update, *others])[0].base


def _base(update: RefUpdate, created: Mapping[Oid, str]) -> str:
    if not update.branch or update.is_deletion:
        return ""
    return created[update.new] if update.is_creation else update.old


def _new_commits(git: Git, tips: Sequence[str], updates: Sequence[RefUpdate]) -> Graph:
    """The commits that the repository did not reach before the push, each with its parents."""
    before = [f"^{update.old}" for update in updates if not update.is_creation]
    moved = [f"--exclude={update.ref}" for update in updates]
    stdin = "".join(f"{line}\n" for line in (*tips, *before)).encode()
    # Not --all: that is HEAD too, which may point to a ref of this push.
    code, out, _ = git.call("rev-list", "--parents", "--stdin", "--not", *moved, "--glob=refs/*", stdin=stdin)
    lines = [] if code else out.decode().splitlines()
    return {commit: parents for commit, *parents in (line.split(" ") for line in lines)}


class _Bases:
    """Finds where new branches start, within bounds for a push of thousands."""

    def __init__(self, git: Git, graph: Graph) -> None:
        self._git = git
        self._graph = graph
        self._steps = MAX_STEPS
        self._questions = MAX_QUESTIONS

    def find(self, tips: Iterable[Oid]) -> dict[Oid, str]:
        return {tip: self._start(tip) for tip in tips}

    def _start(self, tip: str) -> str:
        if tip not in self._graph:
            return self._ask("merge-base", tip, "HEAD")
        outside = self._boundary(tip)
        return outside[0] if len(outside) == 1 else self._ask("merge-base", "--independent", *outside) if outside else ""

    def _boundary(self, tip: str) -> list[str]:
        """The parents of new commits that are not new themselves."""
        outside: dict[str, None] = {}
        seen, open_ = {tip}, [tip]
        while open_ and self._steps > 0:
            self._steps -= 1
            for parent in self._graph[open_.pop()]:
                if parent not in self._graph:
                    outside[parent] = None
                elif parent not in seen:
                    seen.add(parent)
                    open_.append(parent)
        return [] if open_ else list(outside)[:64]

    def _ask(self, *question: str) -> str:
        self._questions -= 1
        if self._questions < 0:
            return ""
        code, out, _ = self._git.call(*question)
        return "" if code else out.decode().partition("\n")[0]


def commits(git: Git, names: Iterable[str]) -> dict[str, Commit]:
    """What the commits say, by the names asked for (ids of commits or of tags of them); others are left out."""
    asked = list(dict.fromkeys(names))
    if not asked:
        return {}
    rest = git.run("cat-file", "--batch", stdin="".join(f"{name}^{{commit}}\n" for name in asked).encode())
    found = {}
    for name in asked:
        header, _, rest = rest.partition(b"\n")
        oid, *kind = header.decode().split(" ")
        if len(kind) == 2 and kind[0] == "commit":
            found[name] = _parse(Oid(oid), rest[: int(kind[1])])
            rest = rest[int(kind[1]) + 1 :]
    return found


def commit_facts(git: Git, commit: str) -> Commit:
    """What one commit (or the commit of a tag) says. Raises EnvironmentFault if it is not there."""
    found = commits(git, [commit])
    if not found:
        raise EnvironmentFault(f"{git.git_dir} has no commit {commit}", hint="it may have been removed by git gc; push it again")
    return found[commit]


def is_ancestor(git: Git, ancestor: str, commit: str) -> bool:
    """Whether `commit` is `ancestor` or descends from it. Raises EnvironmentFault if one of them is not there."""
    code, _, err = git.call("merge-base", "--is-ancestor", "--end-of-options", ancestor, commit)
    if code not in {0, 1}:
        raise EnvironmentFault(f"git cannot compare {ancestor} and {commit}: {err.decode(errors='replace').strip()}")
    return code == 0


def resolve(git: Git, revision: str) -> Oid | None:
    """The commit that a revision (a ref, an id or its beginning, a tag, `main~3`) names, or None."""
    code, out, _ = git.call("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    return None if code else Oid(out.decode().strip().rpartition("\n")[2])


def _parse(oid: Oid, raw: bytes) -> Commit:
    head, _, message = raw.partition(b"\n\n")
    fields: dict[bytes, list[bytes]] = {}
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        fields.setdefault(key, []).append(value)
    encoding = fields.get(b"encoding", [b"utf-8"])[0].decode("ascii", "replace")
    author, email, when = _person(_text(fields.get(b"author", [b""])[0], encoding))
    parents = tuple(Oid(parent.decode()) for parent in fields.get(b"parent", []))
    return Commit(oid, Oid(fields.get(b"tree", [b""])[0].decode()), parents, author, email, when, _text(message, encoding))


def _person(line: str) -> tuple[str, str, int]:
    name, _, rest = line.partition("<")
    email, _, when = rest.rpartition(">")
    seconds = when.split()[0] if when.split() else "0"
    return name.strip(), email.strip(), int(seconds) if seconds.isdecimal() else 0


def _text(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding, "replace")
    except (LookupError, ValueError):
        return raw.decode("utf-8", "replace")
