"""The command `git-pipeline`: the table of verbs, and the one place that prints errors and picks the exit code.

Exit codes: 0 done; 1 the answer is no (a failed check, a refusal); 2 wrong usage; 3 something around us is broken;
130 interrupted; 70 a bug of ours (EX_SOFTWARE of sysexits.h).
"""

import importlib
import os
import sys

import click

from agent.errors import AgentError, UsageError

VERBS = {
    "approvals": "list the approvals that wait, and which of them for you",
    "approve": "say yes to an approval, by a signed tag",
    "check": "judge the pipeline files as the server would",
    "completion": "print the completion for bash, zsh or fish",
    "deployments": "show what was deployed where, and ask hosts what they run",
    "diff": "show what changed between two executions",
    "disable": "close the transition into a stage",
    "doctor": "look for what is wrong on the server, and say what to do",
    "enable": "open the transition into a stage",
    "events": "the journal of executions, as it grows with -f",
    "explain": "say which pipelines a push would start, and why not the others",
    "gc": "remove what the retention rules no longer keep",
    "graph": "draw a pipeline: text, Mermaid, DOT, SVG",
    "hosts": "list the hosts of a group and try to reach them",
    "import": "turn another tool's pipeline into ours",
    "init": "write a first pipeline by looking at the project",
    "install": "put the agent into a bare repository",
    "listen": "start what events in a queue of SQS ask for",
    "list": "list executions by pipeline, status, branch, person or stage",
    "log": "show what the scripts printed",
    "mirror": "fetch another repository, and run what has changed there",
    "override": "let a stage pass a failed condition",
    "policy": "say what the operator's configuration allows a ref and a person",
    "receive-webhook": "act on a signed message of GitHub, GitLab or Bitbucket",
    "reject": "say no to an approval, by a signed tag",
    "report": "write executions and their history as one HTML file",
    "resume": "go on with what a killed worker left",
    "retry": "run a failed stage again",
    "rollback": "run a stage again as a former execution ran it",
    "run": "run the pipeline on this machine, before the push",
    "schema": "print the JSON Schema of the pipeline files",
    "setup": "make this clone fetch and show the results by itself",
    "show": "show one execution: its tree, times, outputs, approvals, artifacts",
    "start": "start an execution by hand",
    "status": "show the executions and how they stand",
    "stop": "stop an execution",
    "uninstall": "take the agent out of a repository again",
    "verify": "check signatures, chain, approvals and artifacts of the record",
    "watch": "watch an execution as it goes on",
    "worker": "run what is queued, in this or in all repositories",
}


_MEANT = {
    "cancel": "stop",
    "abort": "stop",
    "kill": "stop",
    "logs": "log",
    "ls": "list",
    "history": "list",
    "validate": "check",
    "lint": "check",
    "trigger": "start",
    "view": "show",
    "describe": "show",
    "rerun": "retry",
    "restart": "retry",
    "undo": "rollback",
    "follow": "watch",
    "tail": "log",
    "convert": "import",
    "local": "run",
    "exec": "run",
    "deny": "reject",
    "new": "init",
}  # fmt: skip - what other tools call it
MODULES = {"import": "import_"}  # where the verb is a word of Python


class Verbs(click.Group):
    """Loads the module of a verb only when it is called: `agent/cli/<verb>.py` with a click command named `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"agent.cli.{MODULES.get(cmd_name, cmd_name.replace('-', '_'))}")
        command: click.Command = module.command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """An unknown verb is told with the ones that are near."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], [*VERBS, *_MEANT], 3, 0.6)
            meant = list(dict.fromkeys(_MEANT.get(one, one) for one in ([args[0]] if args[0] in _MEANT else near)))
            hint = f"git pipeline {' or git pipeline '.join(meant)}" if meant else "git pipeline -h lists the verbs"
            raise UsageError(f"there is no verb {args[0]}", hint=f"did you mean {hint}?" if meant else hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-C", "directory", type=click.Path(exists=True, file_okay=False), help="run as if started there")
@click.version_option(package_name="git-pipeline")
def program(directory: str | None) -> None:
    """AWS CodePipeline's model in the hooks of a bare git repository."""
    if directory:
        os.chdir(directory)


def main() -> None:
    """Run the program; every way out goes through here."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        code = program.main(arguments, prog_name="git pipeline", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        click.echo(f"git pipeline: {_in_our_words(error)}", err=True)
        return error.exit_code
    except AgentError as error:
        click.echo(f"git pipeline: {error}", err=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at exit
        return 141
    except Exception as error:
        return _bug(error)
    return code if isinstance(code, int) else 0


def _in_our_words(error: click.ClickException) -> str:
    """What click found wrong with the command line, as every other mistake is told, with the usage as the hint."""
    said = error.format_message().rstrip(".")
    said = said[:1].lower() + said[1:]
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return said
    pieces = " ".join([context.command_path, *context.command.collect_usage_pieces(context)])
    return f"{said}\nhint: {pieces}; {context.command_path} -h explains it"


def _bug(error: Exception) -> int:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="git-pipeline-", suffix=".log", delete=False) as report:
        traceback.print_exception(error, file=report)
    click.echo(f"git pipeline: this is a bug ({type(error).__name__}); the details are in {report.name}", err=True)
    return 70
