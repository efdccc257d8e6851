"""People with keys who make control tags in the clone, proper and improper ones, and push them."""

import shutil
from datetime import UTC, datetime

from tests.support.keys import Keys


class Signing:
    """For a Repo."""

    keys: Keys

    def sign(
        self,
        tag: str,
        commit: str,
        by: str = "alice",
        message: str = "fine",
        *,
        date: str = "",
    ) -> str:
        """A signed tag in the clone, made by `git tag -s`; its id."""
        words = [word for part in message.split("\n\n") for word in ("-m", part)]
        when = {"GIT_COMMITTER_DATE": date} if date else {}
        settings = {**self.keys.environment(by), **when}
        self.git(*self.keys.settings(by), "tag", "-f", "-s", *words, tag, commit, env=settings)
        return self.ref(f"refs/tags/{tag}")

    def forge(self, tag: str, raw: bytes) -> str:
        """Any bytes as a tag object, and a ref to it in the clone; its id."""
        oid = self.git("hash-object", "-t", "tag", "-w", "--literally", "--stdin", stdin=raw)
        self.point(tag, oid)
        return oid

    def point(self, tag: str, oid: str) -> None:
        """A ref in the clone."""
        path = self.clone / ".git/refs/tags" / tag
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(oid + "\n")

    def forget(self) -> None:
        """Remove all tags of the clone: one may stand in the way of another."""
        shutil.rmtree(self.clone / ".git/refs/tags")
        (self.clone / ".git/refs/tags").mkdir()

    def raw(self, oid: str) -> bytes:
        return self.run("cat-file", "tag", oid).stdout

    def payload(self, tag: str, commit: str, message: str = "fine\n") -> bytes:
        """The bytes of an unsigned tag of now."""
        now = int(datetime.now(UTC).timestamp())
        return f"object {commit}\ntype commit\ntag {tag}\ntagger A <a@example.com> {now} +0000\n\n{message}".encode()

    def tell(self, *tags: str, **more) -> str:
        """Push tags without following; what the pusher read."""
        return self.detached(*(f"refs/tags/{tag}" for tag in tags), **more)
