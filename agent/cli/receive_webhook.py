"""`git pipeline receive-webhook REMOTE`: act on a signed message of GitHub, GitLab or Bitbucket that a web server hands on."""

import os
import sys

import click

from agent.errors import RefusedError


def _header(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    parted = (value.partition(":") for value in values)
    return {name.strip().lower(): text.strip() for name, _, text in parted}


def _length(told: str) -> int:
    """A web server need not close what a CGI script reads."""
    from agent.sources.webhooks import LARGEST

    return min(int(told), LARGEST + 1) if told.isdigit() else LARGEST + 1


@click.command(short_help="act on a signed message of GitHub, GitLab or Bitbucket")
@click.argument("remote")
@click.option("-H", "--header", "given", metavar="'NAME: VALUE'", multiple=True, callback=_header, help="may be repeated")
@click.option("--repo", metavar="REPO.git", help="the bare repository  [default: the one around the current directory]")
def command(remote: str, given: dict[str, str], repo: str | None) -> None:
    """Read the body of a webhook from standard input, check its signature, and bring what it says has changed.

    Headers come from --header, or from the environment as of a CGI script (HTTP_X_HUB_SIGNATURE_256). REMOTE is a name under
    [remotes] of the configuration, with `forge` and `secret`. A delivery that was received before is refused with exit code 1.
    """
    from agent.cli import outdoors

    environment = {name[5:].replace("_", "-").lower(): value for name, value in os.environ.items() if name.startswith("HTTP_")}
    body = sys.stdin.buffer.read(_length(os.environ.get("CONTENT_LENGTH", "")))
    with outdoors.opened(repo) as (outside, _):
        lines = tuple(outside.webhook(remote, {**environment, **given}, body))
    for line in lines or ("nothing to bring",):
        click.echo(line)
    if refused := [line for line in lines if " refused: " in line]:
        raise RefusedError(f"{len(refused)} refs stay where they are")
