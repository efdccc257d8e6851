"""How a clone steers: a demand as a signed tag under a free label, made with the user's git, and pushed; the server answers."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from agent.cli.remote import Clone, client, discover, fetch, remote_of
from agent.errors import AgentError, EnvironmentFault, RefusedError, UsageError
from agent.git.command import Git
from agent.git.tags import split
from agent.model.control import Demand
from agent.results import summary
from agent.trust.control_tags import name_of, trailers_of

_SIGNING = "git config gpg.format ssh && git config user.signingKey ~/.ssh/id_ed25519.pub, or an OpenPGP key (git help tag)"


class Tag(NamedTuple):
    """A signed tag to be made: its name, the commit, and the paragraphs of its message."""

    name: str
    commit: str
    message: tuple[str, ...]

    @property
    def command(self) -> tuple[str, ...]:
        """With which git makes it."""
        said = [word for paragraph in self.message for word in ("-m", paragraph)]
        return ("git", "tag", "-s", *said, self.name, self.commit)


class Seat(NamedTuple):
    """Where a clone is steered from: its git, and the remote that is spoken to."""

    git: Git
    remote: str

    def tag(self, demand: Demand, commit: str, reason: str = "", execution: str = "") -> Tag:
        """The tag that demands it, under a label that neither the remote nor this clone has yet."""
        taken = _taken(self.git, self.remote, name_of(demand, "x").text.rpartition("/")[0])
        name = name_of(demand, _free(label(self.git), taken)).text
        trailers = "\n".join(f"{key}: {value}" for key, value in trailers_of(demand, execution))
        return Tag(name, commit, tuple(filter(None, (reason.strip(), trailers))) or ("",))

    def has(self, commit: str) -> bool:
        """Whether the clone has a commit."""
        return not self.git.call("cat-file", "-e", f"{commit}^{{commit}}")[0]

    def head(self, ref: str) -> tuple[str, str]:
        """Full name and commit of a branch or tag of the remote, by default of its default branch. Raises AgentError."""
        wanted = (f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/tags/{ref}^{{}}", ref, f"{ref}^{{}}") if ref else ("HEAD",)
        lines = _listed(self.git, self.remote, "--symref", *wanted)
        found = {name: oid for oid, _, name in (line.partition("\t") for line in lines) if not oid.startswith("ref:")}
        names = [line.partition("\t")[0].removeprefix("ref: ") for line in lines if line.startswith("ref: ")]
        for name in wanted:
            if name in found:
                return (names[0] if names and not ref else name), found.get(f"{name}^{{}}", found[name])
        said = f"there is no branch or tag {ref} on {self.remote}" if ref else f"{self.remote} has no default branch"
        raise UsageError(said, hint="name another with --ref" if ref else "name a branch or tag with --ref")

    def offer(self, tag: Tag, doing: str = "", *, dry_run: bool = False, options: Sequence[str] = ()) -> int:
        """Do it, or print the commands that do; the exit code of the push. Raises AgentError if it is not accepted."""
        if dry_run:
            click.echo(shown(tag, self.remote, options))
            return 0
        if not self.has(tag.commit):
            raise UsageError(f"commit {tag.commit[:12]} is not in this clone", hint=f"git fetch {self.remote}")
        if doing:
            click.echo(doing)
        return _send(self.git, tag, self.remote, options)


def seated(remote: str | None) -> Seat:
    """The clone around us, and the remote that is named or found. Raises UsageError."""
    git = discover(os.environ)
    if remote:
        git = client(git.git_dir, _preferring(remote, os.environ))
    name = remote_of(git)
    if not name and (Path(git.git_dir) / "pipeline" / "state.db").is_file():
        hint = "git pipeline approvals lists here what waits; give the answer in a clone of this repository"
        raise UsageError("the answer is a signed tag of a person, which comes with a push", hint=hint)
    if not name:
        hint = "git remote add origin …, or name the repository on the server with --repo"
        raise UsageError("this repository has no remote to push a tag to", hint=hint)
    return Seat(git, name)


def opened(remote: str | None, *, quick: bool = False) -> tuple[Seat, Clone]:
    """The same, with its notes fetched from the remote. Raises UsageError."""
    seat = seated(remote)
    if not quick and (trouble := fetch(seat.git, logs=False)):
        click.echo(f"git pipeline: {trouble}", err=True)
    clone = Clone(seat.git)
    clone.require_notes()
    return seat, clone


def _preferring(remote: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with `pipeline.remote` set, on top of what `git -c` has set."""
    count = environ.get("GIT_CONFIG_COUNT", "0")
    index = int(count) if count.isdecimal() else 0
    added = {f"GIT_CONFIG_KEY_{index}": "pipeline.remote", f"GIT_CONFIG_VALUE_{index}": remote}
    return {**environ, **added, "GIT_CONFIG_COUNT": str(index + 1)}


def label(git: Git) -> str:
    """What to call the tags of the user: pipeline.person, else the part of the e-mail address before the @."""
    for key in ("pipeline.person", "user.email", "user.name"):
        value = git.call("config", "--get", key)[1].decode(errors="replace").partition("@")[0]
        found = re.sub(r"[^A-Za-z0-9._-]+", "-", value.strip()).strip("-._")[:60]
        if found and not found.endswith(".lock"):
            return found
    return "me"


def _taken(git: Git, remote: str, prefix: str) -> set[str]:
    """The labels under a prefix that the remote or this clone has."""
    there = {line.rpartition("/")[2] for line in _listed(git, remote, "--refs", f"refs/tags/{prefix}/*")}
    here = git.run("for-each-ref", "--format=%(refname)", f"refs/tags/{prefix}/").decode(errors="replace")
    return there | {line.rpartition("/")[2] for line in here.splitlines()}


def _listed(git: Git, remote: str, option: str, *refs: str) -> list[str]:
    """The lines of git ls-remote. Raises EnvironmentFault."""
    code, out, err = git.call("ls-remote", option, "--", remote, *refs)
    if code:
        said = err.decode(errors="replace").strip().split("\n")[0].removeprefix("fatal: ")
        raise EnvironmentFault(f"cannot reach {remote}: {said}", hint="it must be there to get the answer")
    return out.decode(errors="replace").splitlines()


def _free(wanted: str, taken: set[str]) -> str:
    number = 1
    while (name := wanted if number == 1 else f"{wanted}-{number}") in taken:
        number += 1
    return name


def shown(tag: Tag, remote: str, options: Sequence[str] = ()) -> str:
    """The plain git commands that do the same, ready to paste."""
    words = (tag.command, ("git", *_push(tag, remote, options)))
    return " &&\n  ".join(" ".join(_quoted(word) for word in command) for command in words)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'" if "\n" in word else summary.quoted(word)


def _push(tag: Tag, remote: str, options: Sequence[str]) -> tuple[str, ...]:
    return ("push", *(word for option in options for word in ("-o", option)), remote, f"refs/tags/{tag.name}")


def _send(git: Git, tag: Tag, remote: str, options: Sequence[str]) -> int:
    """Sign the tag, show it, push it, and show what the server says. A tag that is refused does not stay in the clone."""
    if _run(git, tag.command[1:]) or not _is_signed(git, tag.name):
        git.call("update-ref", "-d", f"refs/tags/{tag.name}")
        raise AgentError("git could not sign the tag", hint=_SIGNING)
    click.echo(f"{tag.name} at {tag.commit[:12]}")
    for line in "\n".join(tag.message).splitlines():
        click.echo(f"  {summary.line(line)}".rstrip())
    sys.stdout.flush()
    ref = f"refs/tags/{tag.name}"
    oid = git.run("rev-parse", ref).decode().strip()
    code = _run(git, _push(tag, remote, options))
    if code:
        git.call("update-ref", "-d", ref, oid)
        raise RefusedError("the tag was not accepted; it is removed from this clone again")
    return code


def _is_signed(git: Git, name: str) -> bool:
    """git 2.39 makes an unsigned tag where ssh-keygen cannot read the key, and says that all is well."""
    return bool(split(git.run("cat-file", "tag", f"refs/tags/{name}"))[2])


def _run(git: Git, arguments: Sequence[str]) -> int:
    """git with the terminal of the user, who may be asked for a passphrase."""
    environment = {name: value for name, value in git.environment.items() if name != "GIT_TERMINAL_PROMPT"}
    return subprocess.run(["git", f"--git-dir={git.git_dir}", *arguments], env=environment, check=False).returncode
