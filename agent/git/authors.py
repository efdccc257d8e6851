"""Who had a hand in commits: authors, committers and co-authors, as the commits themselves say. pre-receive imports this."""

from agent.errors import EnvironmentFault
from agent.git.command import Git
from agent.trust.authors import Identity

_FIELDS = "%an%x1f%ae%x1e%cn%x1f%ce%x1e%(trailers:key=Co-authored-by,valueonly,separator=%x1e)%x00"


def authors(git: Git, commit: str, since: str = "") -> frozenset[Identity]:
    """Everyone who wrote or committed what `commit` has and `since` has not (empty: everything), and always the commit itself.

    A mailmap is left alone: whoever may push could write one. Raises EnvironmentFault.
    """
    known = since and not git.call("cat-file", "-e", f"{since}^{{commit}}")[0]
    found = _named(git, "--no-walk=unsorted", commit)
    return found | _named(git, commit, *((f"^{since}",) if known else ()))


def wrote(git: Git, commit: str, since: str = "") -> frozenset[str]:
    """The ids of those commits."""
    known = since and not git.call("cat-file", "-e", f"{since}^{{commit}}")[0]
    out = git.run("rev-list", commit, *((f"^{since}",) if known else ()), "--")
    return frozenset(out.decode().split()) | {commit}


def _named(git: Git, *revisions: str) -> frozenset[Identity]:
    code, out, err = git.call("log", "-z", "--no-mailmap", "--encoding=UTF-8", f"--format=tformat:{_FIELDS}", *revisions, "--")
    if code:
        raise EnvironmentFault(f"git cannot tell who wrote {revisions[-1]}: {err.decode(errors='replace').strip()}")
    found = set()
    for person in out.decode(errors="replace").replace("\0", "\x1e").split("\x1e"):
        name, address = _pair(person.strip())
        if name or address:
            found.add(Identity(name, address))
    return frozenset(found)


def _pair(text: str) -> tuple[str, str]:
    """Name and address, of a commit's header (kept apart by a control character) or a trailer (`Name <address>`)."""
    if "\x1f" in text:
        name, _, address = text.partition("\x1f")
        return name.strip(), address.strip()
    name, _, rest = text.partition("<")
    return name.strip(), rest.rstrip("> \t")
