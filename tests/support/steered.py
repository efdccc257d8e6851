"""A repository with a real worker, and people with real keys who steer it."""

from tests.support.keys import Keys
from tests.support.signing import Signing
from tests.support.working import CONFIG, Working

BY_QA = "approval: {by: [qa-lead], message: Check staging}"


class Steered(Signing, Working):
    """A working repository whose operator knows everybody."""

    def __init__(self, root, keys: Keys) -> None:
        super().__init__(root)
        self.keys = keys
        self.configure(CONFIG.replace("[local]", f"{keys.config}[local]"))

    def asked(self, approval: str = BY_QA, name: str = "qa") -> str:
        """An action that asks people."""
        return f"      - name: {name}\n        {approval}\n"

    def released(self, *stages: str) -> str:
        """Push a pipeline that starts at once; what the pusher reads until the execution waits or is over."""
        self.commit({".pipeline/release.yaml": f"stages:\n{''.join(stages)}"})
        return self.push()

    def told(self, tag: str, by: str = "alice", message: str = "fine", at: str = "HEAD") -> str:
        """Sign a tag and push it, following; what the pusher reads."""
        self.sign(tag, at, by, message)
        return self.push(f"refs/tags/{tag}")
