"""`git pipeline setup`: make a clone fetch and show the results by itself."""

import os

import click

from agent.cli.remote import discover, remote_of
from agent.errors import RefusedError, UsageError
from agent.git.command import Git
from agent.model.ids import NOTES

PEOPLE, _, LOG = NOTES


@click.command(short_help="make this clone fetch and show the results by itself")
@click.option("--remote", help="where the pipelines run  [default: pipeline.remote, that of the branch, or origin]")
@click.option("--logs", is_flag=True, help="fetch the whole logs too; without it they come when they are asked for")
@click.option("--undo", is_flag=True, help="take the settings away again")
def command(remote: str | None, logs: bool, undo: bool) -> None:
    """Set in this clone that `git fetch` brings the results, and that `git log` shows them. Run again, it changes nothing.

    It says what it sets; --undo takes it away.
    """
    git = discover(os.environ)
    name = remote or remote_of(git)
    if not name:
        raise UsageError("this repository has no remote", hint="git remote add origin …")
    if name not in git.run("remote").decode().split():
        raise UsageError(f"there is no remote {name}", hint="git remote -v lists those there are")
    done = _take_away(git, name) if undo else _set(git, name, logs)
    for line in done:
        click.echo(line)
    if not done:
        click.echo("nothing is set" if undo else "everything is set already")
    elif not undo:
        click.echo(f"now `git fetch {name}` brings the results, `git log` shows them, and `git pipeline status` sums them up")


def _wanted(name: str, logs: bool) -> list[tuple[str, str]]:
    return [
        (f"remote.{name}.fetch", f"+{PEOPLE}*:{PEOPLE}*"),
        *([] if logs else [(f"remote.{name}.fetch", f"^{LOG}")]),
        ("notes.displayRef", PEOPLE),
        ("pipeline.remote", name),
    ]


def _values(git: Git, key: str) -> list[str]:
    return git.call("config", "--local", "--get-all", key)[1].decode().splitlines()


def _set(git: Git, name: str, logs: bool) -> list[str]:
    done = []
    if logs and f"^{LOG}" in _values(git, f"remote.{name}.fetch"):
        git.run("config", "--local", "--fixed-value", "--unset-all", f"remote.{name}.fetch", f"^{LOG}")
        done.append(f"git config --fixed-value --unset-all remote.{name}.fetch '^{LOG}'")
    for key, value in _wanted(name, logs):
        if value in _values(git, key):
            continue
        how = ("--replace-all",) if key == "pipeline.remote" else ("--add",)
        code, _, err = git.call("config", "--local", *how, key, value)
        if code:
            raise RefusedError(f"git cannot set {key}: {err.decode(errors='replace').strip()}")
        done.append(f"git config {' '.join(how)} {key} '{value}'")
    return done


def _take_away(git: Git, name: str) -> list[str]:
    done = []
    for key, value in _wanted(name, logs=False):
        if value in _values(git, key):
            git.run("config", "--local", "--fixed-value", "--unset-all", key, value)
            done.append(f"git config --fixed-value --unset-all {key} '{value}'")
    return done
