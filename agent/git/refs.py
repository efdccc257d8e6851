"""Reads refs, and moves them only from where they are known to be. The hooks import this."""

from collections.abc import Sequence

from agent.errors import EnvironmentFault
from agent.git.command import Git
from agent.model.ids import Oid, RefName


def all_refs(git: Git, prefixes: Sequence[str] = ("refs/heads", "refs/tags")) -> dict[RefName, Oid]:
    """The refs under some prefixes, with what they point at (a tag's own id). A name that is not UTF-8 has \\xNN in it."""
    text = git.run("for-each-ref", "--format=%(objectname) %(refname)", *prefixes).decode(errors="backslashreplace")
    found = {}
    for line in text.splitlines():
        oid, _, ref = line.partition(" ")
        found[RefName(ref)] = Oid(oid)
    return found


def read_ref(git: Git, ref: str) -> Oid | None:
    """What a ref points at, or None if there is no such ref."""
    code, out, _ = git.call("show-ref", "--verify", "--hash", "--", ref)
    return None if code else Oid(out.decode().strip())


def default_branch(git: Git) -> RefName | None:
    """The ref that HEAD names, whether it exists or not; None if HEAD is detached."""
    code, out, _ = git.call("symbolic-ref", "--quiet", "HEAD")
    return None if code else RefName(out.decode(errors="backslashreplace").strip())


def move(git: Git, ref: str, old: str, new: str) -> bool:
    """Move a ref from `old` (zeros: it must not exist) to `new` (zeros: delete it); False if it is not at `old`.

    Raises EnvironmentFault if git refuses for another reason.
    """
    code, _, err = git.call("update-ref", "--stdin", "-z", stdin=f"update {ref}\0{new}\0{old}\0".encode())
    if code and (read_ref(git, ref) or "0" * len(old)) == old:
        raise EnvironmentFault(f"git cannot move {ref}: {err.decode(errors='replace').strip()}")
    return not code
