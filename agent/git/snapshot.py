"""A work tree as it stands, as a commit in another repository: neither the work tree nor its repository is written to."""

import os
import shutil
import tempfile
from pathlib import Path

from agent.errors import EnvironmentFault
from agent.git.command import Git
from agent.model.ids import Oid

_NOBODY = {"GIT_AUTHOR_NAME": "you", "GIT_AUTHOR_EMAIL": "you@localhost", "GIT_COMMITTER_NAME": "you"}
_NOBODY |= {"GIT_COMMITTER_EMAIL": "you@localhost"}


def borrow(into: Path, git: Git) -> None:
    """Make `into` a bare repository that sees all objects of another one; repeatable. Raises EnvironmentFault."""
    kind = git.run("rev-parse", "--show-object-format").decode().strip()
    if not (into / "HEAD").exists():
        into.mkdir(parents=True, exist_ok=True, mode=0o700)
        Git(into, git.environment).run("init", "--quiet", "--bare", f"--object-format={kind}")
    try:
        (into / "objects" / "info" / "alternates").write_text(f"{_path(git, 'objects')}\n")
        shallow = Path(_path(git, "shallow"))
        if shallow.exists():
            shutil.copyfile(shallow, into / "shallow")
    except OSError as error:
        raise EnvironmentFault(f"{error.filename}: {error.strerror}", hint="is the disk full?") from error


def snapshot(git: Git, work_tree: Path, into: Path) -> Oid:
    """The commit of the work tree with all that is not ignored: HEAD itself if nothing differs, else one on top of it.

    Its objects go to the bare repository `into` (`borrow`). Raises EnvironmentFault.
    """
    head = git.call("rev-parse", "-q", "--verify", "HEAD^{commit}")[1].decode().strip()
    with tempfile.TemporaryDirectory(prefix="git-pipeline-") as scratch:
        index = Path(scratch) / "index"
        with_index = Path(_path(git, "index"))
        if with_index.exists():
            shutil.copy2(with_index, index)  # what git knows of the files saves reading them all
        there = {
            "GIT_WORK_TREE": str(work_tree),
            "GIT_INDEX_FILE": str(index),
            "GIT_OBJECT_DIRECTORY": str(into / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": _path(git, "objects"),
        }
        _run(git, there, "-C", str(work_tree), "add", "--all", "--", ".")
        tree = _run(git, there, "write-tree")
        if head and tree == _run(git, there, "rev-parse", f"{head}^{{tree}}"):
            return Oid(head)
        message = git.run("log", "-1", "--format=%B", head) if head else b"a work tree\n"
        known = git.call("var", "GIT_COMMITTER_IDENT")[0] == 0
        parents = ("-p", head) if head else ()
        return Oid(_run(git, there | ({} if known else _NOBODY), "commit-tree", *parents, tree, stdin=message))


def _run(git: Git, environment: dict[str, str], *args: str, stdin: bytes = b"") -> str:
    code, out, err = git.call(*args, stdin=stdin, environment=environment)
    if code:
        said = err.decode(errors="replace").strip()
        raise EnvironmentFault(f"the work tree cannot be read: {said}", hint="git status shows what is wrong with it")
    return out.decode().strip()


def _path(git: Git, name: str) -> str:
    found = os.fsdecode(git.run("rev-parse", "--git-path", name)).rstrip("\n")
    return os.path.abspath(found)  # noqa: PTH100 - as git, relative to the current directory
