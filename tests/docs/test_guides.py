"""The guides are followed to the letter, from top to bottom, by somebody with an empty home and a server of his own."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from agent.workspaces.mounts import mounted, unmount
from tests.support.engine import until
from tests.support.guide import Reader, missing, steps

DOCS = Path(__file__).parents[2] / "docs"
RELEASE = """\
defaults: {{image: "{image}"}}
stages:
  - name: build
    actions: [{{name: page, run: "echo hello > index.html; cat index.html", artifacts: {{site: [index.html]}}}}]
  - name: sign-off
    actions: [{{name: qa, approval: {{by: [qa-lead], message: "Look at the page"}}}}]
"""


class Place:
    """A home, a server's directory, and the command on the PATH."""

    def __init__(self, root: Path, image: str) -> None:
        self.root, self.home, self.image = root, root / "home", image
        self.server = root / "srv"
        (self.home / ".ssh").mkdir(parents=True, mode=0o700)
        self.server.mkdir()
        scripts = Path(sys.executable).parent
        self.environment = {
            "HOME": str(self.home),
            "PATH": f"{scripts}:{os.environ['PATH']}",
            "GIT_PIPELINE_REPOSITORIES": str(root / "repositories"),
            "LANG": "C.UTF-8",
            "USER": "alice",
        }
        self.run("git", "config", "--global", "user.name", "Alice")
        self.run("git", "config", "--global", "user.email", "alice@example.com")

    def run(self, *command: str, at: Path | None = None) -> str:
        done = subprocess.run(command, cwd=at or self.root, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def follow(self, name: str) -> None:
        words = {
            "server:/srv/git": str(self.server),
            "/srv/git": str(self.server),
            "alpine:3": self.image,
            "alpine:*": self.image,
        }
        Reader(self.home, self.environment, words).follow((DOCS / name).read_text())

    @property
    def bare(self) -> Path:
        return self.server / "project.git"

    def installed(self) -> None:
        self.run("git", "init", "-q", "--bare", "-b", "main", str(self.bare))
        self.run("git", "pipeline", "install", str(self.bare))

    def key(self) -> str:
        file = self.home / ".ssh" / "signing"
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file))
        self.run("git", "config", "--global", "gpg.format", "ssh")
        self.run("git", "config", "--global", "user.signingKey", f"{file}.pub")
        return file.with_suffix(".pub").read_text()

    def knows(self, public: str) -> None:
        kind, blob = public.split()[:2]
        config = self.bare / "pipeline" / "config.toml"
        config.write_text(f'{config.read_text()}\n[people.alice]\nkeys = ["{kind} {blob}"]\nroles = ["qa-lead"]\n')

    def released(self) -> Path:
        """A clone that has pushed a pipeline with an approval, which waits."""
        clone = self.root / "developer"
        self.run("git", "clone", "-q", str(self.bare), str(clone))
        (clone / ".pipeline").mkdir()
        (clone / ".pipeline" / "release.yaml").write_text(RELEASE.format(image=self.image))
        self.run("git", "add", ".", at=clone)
        self.run("git", "commit", "-q", "-m", "A release", at=clone)
        self.run("git", "push", "-q", "origin", "HEAD:main", at=clone)
        return clone

    def end(self) -> None:
        """End the worker, and let go of what it left mounted."""
        for process in Path("/proc").iterdir():
            with suppress(OSError):
                if process.name.isdigit() and str(self.bare).encode() in (process / "cmdline").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)
        for mount in list(mounted(self.bare)):
            unmount(mount)


@pytest.fixture
def place(tmp_path, busybox):
    made = Place(tmp_path, busybox)
    yield made
    made.end()


def test_for_operators(place):
    place.follow("operator.md")


def test_for_developers(place):
    place.installed()
    place.follow("developer.md")


def test_for_approvers(place):
    place.installed()
    place.released()
    text = (DOCS / "approver.md").read_text()
    first, second = text.split("## What waits for you")
    words = {"server:/srv/git": str(place.server)}
    reader = Reader(place.home, place.environment, words)
    reader.follow(first)
    place.knows((place.home / ".ssh" / "id_ed25519.pub").read_text())
    reader.follow(second)


def test_for_auditors(place):
    place.installed()
    place.knows(place.key())
    clone = place.released()
    place.run("git", "pipeline", "approve", "release#1", at=clone)
    until(lambda: "Succeeded" in place.run("git", "pipeline", "status", at=clone), "the release is over")
    place.follow("auditor.md")


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_what_a_guide_shows_is_looked_for_in_order():
    text = "```sh\necho a b c\n```\n\n```text\na … c\n```\n```yaml\n# .x/y.yaml\nk: v\n```\n```sh\ntrue\n```\n"
    assert [step.shell.split("\n")[0] for step in steps(text)] == ["echo a b c", "cat > .x/y.yaml <<'END_OF_FILE'", "true"]
    assert missing(("a … c",), "x\na b c\n") == []
    assert missing(("second", "first"), "first\nsecond\n") == ["first"]
