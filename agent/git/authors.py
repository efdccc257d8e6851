"""Who had a hand in commits: authors, committers and co-authors, as the commits themselves say. pre-receive imports this."""

from typing import NamedTuple

from agent.errors import EnvironmentFault
from agent.git.command import Child, Git
from agent.trust.authors import Identity

_FIELDS = "%H%x1e%an%x1f%ae%x1e%cn%x1f%ce%x1e%(trailers:key=Co-authored-by,valueonly,separator=%x1e)"
_LOG = ("log", "-z", "--no-mailmap", "--no-show-signature", "--encoding=UTF-8", f"--format=tformat:{_FIELDS}")


class Hands(NamedTuple):
    """Everyone who wrote or committed some commits, and the ids of those."""

    people: frozenset[Identity]
    commits: frozenset[str]


def ask(git: Git, commit: str, since: str = "") -> Child:
    """Begin what `hands` does: git looks for it beside us."""
    return git.start(*_LOG, commit, *((f"^{since}",) if since else ()), "--")


def hands(git: Git, commit: str, since: str = "", asked: Child | None = None) -> Hands:
    """Who had a hand in what `commit` has and `since` has not (empty, or not there: everything), and always in the commit itself.

    A mailmap is left alone: whoever may push could write one. `asked` is the same, as `ask` began it. Raises EnvironmentFault.
    """
    code, out, err = (asked or ask(git, commit, since)).result()
    if code and since:
        return hands(git, commit)
    found = _read(out) if not code else None
    if found and commit not in found.commits:
        code, out, err = git.call(*_LOG, "--no-walk=unsorted", commit, "--")
        found = _together(found, _read(out))
    if code or not found:
        raise EnvironmentFault(f"git cannot tell who wrote {commit}: {err.decode(errors='replace').strip()}")
    return found


def _read(out: bytes) -> Hands:
    people, commits = set(), set()
    for record in out.decode(errors="replace").split("\0"):
        commit, *persons = record.split("\x1e")
        commits.add(commit)
        people |= {Identity(*pair) for person in persons if any(pair := _pair(person.strip()))}
    return Hands(frozenset(people), frozenset(commits - {""}))


def _together(one: Hands, other: Hands) -> Hands:
    return Hands(one.people | other.people, one.commits | other.commits)


def _pair(text: str) -> tuple[str, str]:
    """Name and address, of a commit's header (kept apart by a control character) or a trailer (`Name <address>`)."""
    if "\x1f" in text:
        name, _, address = text.partition("\x1f")
        return name.strip(), address.strip()
    name, _, rest = text.partition("<")
    return name.strip(), rest.rstrip("> \t")
