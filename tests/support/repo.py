"""A bare repository and a clone of it, made with real git, away from the user's configuration."""

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path

from agent.git.command import Git, clean_environment
from tests.support.engine import until

CONFIG = """\
[user]
	name = Ada
	email = ada@example.com
[init]
	defaultBranch = main
[advice]
	detachedHead = false
[gc]
	auto = 0
[maintenance]
	auto = false
[push]
	default = current
"""

REMOTE = """\
[remote "origin"]
	url = {}
	fetch = +refs/heads/*:refs/remotes/origin/*
"""

Content = str | bytes


class Refused(Exception):
    """git did not do what it was asked; the message is what it said."""


class Repo:
    """`bare` and `clone` under one directory, with a HOME of their own. Commits are made in the clone, then pushed."""

    def __init__(self, root: Path, *, object_format: str = "sha1") -> None:
        self.root = root
        self.home = root / "home"
        self.bare = root / "repo.git"
        self.clone = root / "clone"
        self.pushed = ""  # what the last push said
        self._clock = 1_700_000_000
        self.home.mkdir(parents=True)
        (self.home / ".gitconfig").write_text(CONFIG)
        shutil.copytree(self.pattern(object_format), self.bare)
        shutil.copytree(empty(object_format) / "clone", self.clone)
        with (self.clone / ".git/config").open("a") as config:
            config.write(REMOTE.format(self.bare))

    def pattern(self, object_format: str) -> Path:
        """The bare repository that `bare` is a copy of."""
        return empty(object_format) / "repo.git"

    @cached_property
    def environment(self) -> dict[str, str]:
        """What git runs with here: nothing of the one who runs the tests but the PATH."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self.home / ".gitconfig"),
        }

    @cached_property
    def server(self) -> Git:
        """The bare repository as the agent sees it."""
        return Git(self.bare, clean_environment(self.environment))

    def git(self, *args: str, at: Path | None = None, stdin: bytes | None = None, env: Mapping[str, str] | None = None) -> str:
        """The output of a git command in the clone, or `at` another place. Raises Refused."""
        return self.run(*args, at=at, stdin=stdin, env=env).stdout.decode(errors="surrogateescape").strip()

    def run(
        self,
        *args: str,
        at: Path | None = None,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[bytes]:
        """The same, with all that the process left."""
        done = subprocess.run(
            ["git", *args], cwd=at or self.clone, input=stdin, capture_output=True, env={**self.environment, **(env or {})}
        )
        if check and done.returncode:
            raise Refused(f"git {' '.join(args)}: {(done.stderr + done.stdout).decode(errors='replace')}")
        return done

    def tidied(self) -> None:
        """Wait until nothing is left of attempts that have ended; what was still there could vanish under a walker's feet."""
        until(lambda: not any((self.bare / "pipeline/executions").glob("*/attempts/*")), "what ended is tidied up")

    def write(self, files: Mapping[str, Content | None]) -> None:
        """Write files of the clone; None removes one."""
        for name, content in files.items():
            path = self.clone / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, files: Mapping[str, Content | None] | None = None, message: str = "a change", *, author: str = "") -> str:
        """Commit files in the clone, a minute after the last commit; returns the id."""
        self.write(files or {})
        self._clock += 60
        date = f"{self._clock} +0000"
        self.git("add", "-A")
        who = ("--author", author) if author else ()
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        self.git("commit", "-q", "--allow-empty", "--allow-empty-message", "-m", message, *who, env=dates)
        return self.head

    @property
    def head(self) -> str:
        """The commit of the clone."""
        named = (self.clone / ".git/HEAD").read_text().strip().removeprefix("ref: ")
        return self.ref(named) if named.startswith("refs/") else named

    def ref(self, name: str) -> str:
        """What a ref of the clone points at."""
        try:
            return (self.clone / ".git" / name).read_text().strip()
        except OSError:  # packed, or not there
            return self.git("rev-parse", name)

    def branch(self, name: str, start: str = "HEAD") -> None:
        """Make a branch in the clone and go there."""
        self.git("checkout", "-q", "-B", name, start)

    def orphan(self, name: str) -> None:
        """Go to a new branch without history or files."""
        self.git("checkout", "-q", "--orphan", name)
        self.git("rm", "-rfq", "--ignore-unmatch", ".")

    def tag(self, name: str, commit: str = "HEAD", message: str = "") -> str:
        """Make a tag in the clone, annotated if it has a message; returns its id."""
        self.git("tag", *(("-a", "-m", message) if message else ()), name, commit)
        return self.ref(f"refs/tags/{name}")

    def push(
        self, *refspecs: str, options: tuple[str, ...] = (), force: bool = False, env: Mapping[str, str] | None = None
    ) -> str:
        """Push (the current branch if nothing is named); returns what the pusher read, raises Refused."""
        words = [word for option in options for word in ("-o", option)]
        words += ["--force"] if force else []
        done = self.run("push", *words, "origin", *(refspecs or ("HEAD",)), env=env, check=False)
        self.pushed = done.stderr.decode(errors="replace")
        if done.returncode:
            raise Refused(self.pushed)
        return self.pushed

    def commit_and_push(self, files: Mapping[str, Content | None], message: str = "a change", *refspecs: str) -> str:
        """`commit`, then `push`; returns the id of the commit."""
        commit = self.commit(files, message)
        self.push(*refspecs)
        return commit

    def note(self, ref: str, commit: str) -> bytes | None:
        """A note in the bare repository, as `git notes` shows it; None if there is none."""
        done = self.run("notes", f"--ref={ref}", "show", commit, at=self.bare, check=False)
        return None if done.returncode else done.stdout

    def hook(self, name: str, script: str) -> None:
        """Install a hook in the bare repository."""
        path = self.bare / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(script)
        path.chmod(0o755)

    def fsck(self) -> str:
        """What git finds wrong with the bare repository; empty if nothing. Dangling objects are no fault."""
        done = self.run("fsck", "--full", "--strict", "--no-dangling", "--no-progress", at=self.bare, check=False)
        lines = (done.stderr + done.stdout).decode(errors="replace").splitlines()
        return "\n".join(line for line in lines if not line.startswith("notice: "))


@cache
def empty(object_format: str) -> Path:
    """A directory with `repo.git` and `clone` as git makes them, without its samples: made once for a process, to be copied."""
    root = kept() / object_format
    (root / "home").mkdir(parents=True)
    (root / "home/.gitconfig").write_text(CONFIG)
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": str(root / "home/.gitconfig")}
    for words in (["--bare", "repo.git"], ["clone"]):
        subprocess.run(["git", "init", "-q", f"--object-format={object_format}", *words], cwd=root, env=environment, check=True)
    configured = ["git", "config", "--file", "repo.git/config", "receive.advertisePushOptions", "true"]
    subprocess.run(configured, cwd=root, env=environment, check=True)
    for sample in root.glob("**/hooks/*.sample"):
        sample.unlink()
    return root


@cache
def kept() -> Path:
    """A directory that lasts as long as this process."""
    made = Path(tempfile.mkdtemp(prefix="git-pipeline-tests."))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made
