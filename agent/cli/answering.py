"""How people answer approvals from an ordinary clone: what waits, as the notes tell it, and the signed tag that answers."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import click

from agent.cli.remote import Clone, client, discover, fetch, remote_of
from agent.cli.source import resolve
from agent.errors import AgentError, EnvironmentFault, RefusedError, UsageError
from agent.git.command import Git
from agent.git.tags import split
from agent.model.control import Answer
from agent.model.ids import ActionName
from agent.results import summary
from agent.results.record import ActionRecord, ApprovalRecord, Record, StageRecord
from agent.trust.control_tags import name_of, trailers_of

_SIGNING = "git config gpg.format ssh && git config user.signingKey ~/.ssh/id_ed25519.pub, or an OpenPGP key (git help tag)"


class Waiting(NamedTuple):
    """An approval that waits for people."""

    record: Record
    stage: StageRecord
    action: ActionRecord
    approval: ApprovalRecord

    @property
    def place(self) -> str:
        return f"{self.stage.name}/{self.action.name}"


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


def opened(remote: str | None, *, quick: bool = False) -> tuple[Git, Clone, str]:
    """The clone around us with its notes fetched from the remote, and that remote's name. Raises UsageError."""
    git = discover(os.environ)
    if remote:
        git = client(git.git_dir, _preferring(remote, os.environ))
    name = remote_of(git)
    if not name:
        raise UsageError("this repository has no remote to push an answer to", hint="git remote add origin …")
    if not quick and (trouble := fetch(git, logs=False)):
        click.echo(f"git pipeline: {trouble}", err=True)
    clone = Clone(git)
    clone.require_notes()
    return git, clone, name


def _preferring(remote: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with `pipeline.remote` set, on top of what `git -c` has set."""
    count = environ.get("GIT_CONFIG_COUNT", "0")
    index = int(count) if count.isdecimal() else 0
    added = {f"GIT_CONFIG_KEY_{index}": "pipeline.remote", f"GIT_CONFIG_VALUE_{index}": remote}
    return {**environ, **added, "GIT_CONFIG_COUNT": str(index + 1)}


def waiting(record: Record) -> Iterator[Waiting]:
    """The approvals of an execution that wait."""
    for stage in record.stages:
        for action in stage.actions:
            if action.approval and summary.is_waiting(action):
                yield Waiting(record, stage, action, action.approval)


def chosen(clone: Clone, execution: str, stage: str, action: str) -> Waiting:
    """The one approval that somebody means. Raises UsageError or RefusedError with what could have been meant."""
    record = resolve(clone, execution)
    everything = list(waiting(record))
    if not everything:
        hint = "git pipeline approvals lists what waits; git pipeline status tells how it stands"
        raise RefusedError(f"{record.label} waits for nobody", hint=hint)
    fitting = [one for one in everything if stage in {"", one.stage.name, one.place} and action in {"", one.action.name}]
    if len(fitting) == 1:
        return fitting[0]
    places = ", ".join(one.place for one in everything)
    if fitting:
        raise UsageError(f"{record.label} waits for several approvals: {places}", hint="name the STAGE, or --action NAME")
    raise UsageError(f"{record.label} waits for no {'/'.join(filter(None, (stage, action)))}", hint=f"it waits for {places}")


def tag_for(git: Git, remote: str, one: Waiting, approved: bool, comment: str) -> Tag:
    """The tag that answers, under a label that the remote does not have yet."""
    needs_name = sum(other.approval is not None for other in one.stage.actions) > 1
    demand = Answer(
        pipeline=one.record.pipeline,
        number=one.record.number,
        stage=one.stage.name,
        approved=approved,
        action=ActionName(one.action.name) if needs_name else "",
    )
    taken = _taken(git, remote, name_of(demand, "x").text.rpartition("/")[0])
    name = name_of(demand, _free(label(git), taken)).text
    trailers = "\n".join(f"{key}: {value}" for key, value in trailers_of(demand, one.record.id))
    return Tag(name, one.record.commit, tuple(filter(None, (comment.strip(), trailers))))


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
    code, out, err = git.call("ls-remote", "--refs", "--", remote, f"refs/tags/{prefix}/*")
    if code:
        said = err.decode(errors="replace").strip().split("\n")[0].removeprefix("fatal: ")
        raise EnvironmentFault(f"cannot reach {remote}: {said}", hint="it must be there to get the answer")
    there = {line.rpartition("/")[2] for line in out.decode(errors="replace").splitlines()}
    here = git.run("for-each-ref", "--format=%(refname)", f"refs/tags/{prefix}/").decode(errors="replace")
    return there | {line.rpartition("/")[2] for line in here.splitlines()}


def _free(wanted: str, taken: set[str]) -> str:
    number = 1
    while (name := wanted if number == 1 else f"{wanted}-{number}") in taken:
        number += 1
    return name


def shown(tag: Tag, remote: str) -> str:
    """The plain git commands that do the same, ready to paste."""
    words = (tag.command, ("git", "push", remote, f"refs/tags/{tag.name}"))
    return " &&\n  ".join(" ".join(_quoted(word) for word in command) for command in words)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'" if "\n" in word else summary.quoted(word)


def send(git: Git, tag: Tag, remote: str) -> int:
    """Sign the tag, show it, push it, and show what the server says; the exit code of the push.

    A tag that is refused does not stay in the clone. Raises AgentError if it cannot be made.
    """
    if git.call("cat-file", "-e", f"{tag.commit}^{{commit}}")[0]:
        raise UsageError(f"commit {tag.commit[:12]} is not in this clone", hint=f"git fetch {remote}")
    if _run(git, tag.command[1:]) or not _is_signed(git, tag.name):
        git.call("update-ref", "-d", f"refs/tags/{tag.name}")
        raise AgentError("git could not sign the tag", hint=_SIGNING)
    click.echo(f"{tag.name} at {tag.commit[:12]}")
    sys.stdout.flush()
    ref = f"refs/tags/{tag.name}"
    oid = git.run("rev-parse", ref).decode().strip()
    code = _run(git, ("push", remote, ref))
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


def answer(execution: str, stage: str, comment: str, action: str, remote: str | None, *, dry_run: bool, approved: bool) -> int:
    """What `approve` and `reject` do; the exit code."""
    git, clone, name = opened(remote)
    one = chosen(clone, execution, stage, action)
    tag = tag_for(git, name, one, approved, comment)
    if dry_run:
        click.echo(shown(tag, name))
        return 0
    said = "approving" if approved else "rejecting"
    click.echo(f"{said} {one.record.label} {one.place}: {summary.question(one.approval)}")
    return send(git, tag, name)
