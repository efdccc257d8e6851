"""`git pipeline approve`: say yes to an approval, by a signed tag that is pushed."""

import click

from agent.cli.answering import answer


@click.command(short_help="say yes to an approval that waits")
@click.argument("execution")
@click.argument("stage", default="")
@click.option("-m", "--message", "comment", default="", help="why, for the record")
@click.option("--action", default="", help="which approval, where a stage asks for several")
@click.option("--dry-run", is_flag=True, help="print the plain git commands, and do nothing")
@click.option("--remote", help="where to fetch from and to push to  [default: pipeline.remote, or origin]")
def command(execution: str, stage: str, comment: str, action: str, dry_run: bool, remote: str | None) -> int:
    """Say yes to an approval of EXECUTION (42, release#42 or an id), and follow how it goes on.

    Works in any clone: it makes a signed tag with your git settings (user.signingKey, gpg.format) and pushes it. STAGE may be
    left out where only one waits.
    """
    return answer(execution, stage, comment, action, remote, dry_run=dry_run, approved=True)
