"""What a push brings. NamedTuples, as the hooks read these and a dataclass costs a push 15 ms (reference: git.md 1)."""

from typing import NamedTuple

from agent.model.ids import Oid, RefName, is_zero


class RefUpdate(NamedTuple):
    """One line of a hook's standard input, and the commit to compare with.

    `base` is what path filters compare `new` with: the old commit, or for a new branch the merge base with what the
    repository had before the push; empty where there is none (a root commit). It is found in pre-receive, as
    post-receive already sees the new refs (git.md 6).
    """

    old: Oid
    new: Oid
    ref: RefName
    base: str = ""

    @property
    def is_deletion(self) -> bool:
        return is_zero(self.new)

    @property
    def is_creation(self) -> bool:
        return is_zero(self.old)

    @property
    def branch(self) -> str:
        """The branch without refs/heads/, or empty."""
        return self.ref.removeprefix("refs/heads/") if self.ref.startswith("refs/heads/") else ""

    @property
    def tag(self) -> str:
        """The tag without refs/tags/, or empty."""
        return self.ref.removeprefix("refs/tags/") if self.ref.startswith("refs/tags/") else ""


class Options(NamedTuple):
    """The push options that are ours (`git push -o pipeline.…`)."""

    skip: bool = False
    detach: bool = False
    variables: tuple[tuple[str, str], ...] = ()


class Push(NamedTuple):
    """All ref updates of one `git push`; who pushed (from sshd, gitolite, HTTP or the OS, else empty); when (ISO 8601, UTC)."""

    updates: tuple[RefUpdate, ...]
    options: Options
    pusher: str
    received_at: str
