"""`git pipeline run`: the pipeline on this machine, before it is pushed."""

import sys
from pathlib import Path

import click

from agent.cli.start import assignments
from agent.errors import UsageError

Given = tuple[tuple[str, str], ...]


@click.command(short_help="run the pipeline on this machine, before the push")
@click.argument("pipeline", default="")
@click.argument("only", metavar="[STAGE[/ACTION]]", default="")
@click.option(
    "--commit", metavar="REV", help="run this commit; without it the work tree as it is, changes and new files included"
)
@click.option("-v", "--var", "given", metavar="NAME=VALUE", multiple=True, callback=assignments, help="a value for a variable")
@click.option(
    "--env-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="NAME=VALUE lines: variables, and secrets"
)
@click.option("--secret", "secrets", metavar="NAME", multiple=True, help="give this variable of your environment as a secret")
@click.option("--deploy", is_flag=True, help="also deploy, run on hosts and use providers, for real; needs --config")
@click.option("--approvals", is_flag=True, help="also ask for approvals: you are asked for all of them, at this terminal")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="an operator's config.toml: hosts, secrets, limits; paths in it count from its directory",
)
@click.option("--shell-on-failure", is_flag=True, help="open a shell where an action failed, with its files")
def command(
    pipeline: str, only: str, commit: str | None, given: Given, env_file: Path | None, secrets: tuple[str, ...],
    deploy: bool, approvals: bool, config: Path | None, shell_on_failure: bool,
) -> int:  # fmt: skip
    """Run PIPELINE, or a STAGE or an ACTION of it with what makes its inputs: the same engine, plan and verdict as on the server.

    Nothing is pushed, and the work tree is never touched: each action gets a copy. Approvals and deploys are
    skipped unless asked for. Actions with `runner: local` are processes of yours on this machine, with your rights.

    Exit code: 0 it succeeded, 1 it failed, 130 you stopped it.
    """
    if deploy and not config:
        raise UsageError("a deploy has to know its hosts", hint="--config FILE names a config.toml like the server's")
    if shell_on_failure and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("--shell-on-failure needs a terminal")
    asks = approvals and sys.stdin.isatty()  # without a terminal there is nobody to ask
    from agent.cli.rehearsing import Wanted, rehearse  # everything that a worker is made of

    return rehearse(Wanted(pipeline, only, commit, given, env_file, secrets, deploy, asks, config, shell_on_failure))
