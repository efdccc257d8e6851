"""The command `git-pipeline`: the table of verbs, and the one place that prints errors and picks the exit code.

Exit codes: 0 done; 1 the answer is no (a failed check, a refusal); 2 wrong usage; 3 something around us is broken;
130 interrupted; 70 a bug of ours (EX_SOFTWARE of sysexits.h).
"""

import gc
import importlib
import os
import sys

import click

from agent.errors import AgentError, UsageError

GARBAGE = 20_000  # new objects until cycles among them are looked for: what is loaded stays
SECTIONS = {
    "See what goes on": {
        "status": "show the executions and how they stand",
        "list": "list executions by pipeline, status, branch, person, stage",
        "show": "show one execution: tree, times, approvals, artifacts",
        "log": "show what the scripts printed",
        "watch": "watch an execution as it goes on",
        "approvals": "list the approvals that wait, and which of them for you",
        "events": "the journal of executions, as it grows with -f",
        "diff": "show what changed between two executions",
        "report": "write executions and their history as one HTML file",
        "deployments": "show what was deployed where, and ask hosts what they run",
        "verify": "check signatures, chain, approvals, artifacts of the record",
    },
    "Decide and steer": {
        "approve": "say yes to an approval, by a signed tag",
        "reject": "say no to an approval, by a signed tag",
        "start": "start an execution by hand",
        "stop": "stop an execution",
        "retry": "run a failed stage again",
        "rollback": "run a stage again as a former execution ran it",
        "override": "let a stage pass a failed condition",
        "disable": "close the transition into a stage",
        "enable": "open the transition into a stage",
    },
    "Before the push": {
        "init": "write a first pipeline by looking at the project",
        "import": "turn another tool's pipeline into ours",
        "check": "judge the pipeline files as the server would",
        "explain": "say which pipelines a push would start, and why not others",
        "graph": "draw a pipeline: text, Mermaid, DOT, SVG",
        "run": "run the pipeline on this machine, before the push",
        "schema": "print the JSON Schema of the pipeline files",
    },
    "This clone and this shell": {
        "setup": "make this clone fetch and show the results by itself",
        "completion": "print the completion for bash, zsh or fish",
    },
    "On the server": {
        "install": "put the agent into a bare repository",
        "uninstall": "take the agent out of a repository again",
        "doctor": "look for what is wrong on the server, and say what to do",
        "policy": "say what the configuration allows a ref and a person",
        "hosts": "list the hosts of a group and try to reach them",
        "resume": "go on with what a killed worker left",
        "gc": "remove what the retention rules no longer keep",
        "worker": "run what is queued, in this or in all repositories",
        "listen": "start what events in a queue of SQS ask for",
        "mirror": "fetch another repository, and run what has changed there",
        "receive-webhook": "act on a signed message of GitHub, GitLab or Bitbucket",
    },
}
VERBS = dict(sorted(pair for verbs in SECTIONS.values() for pair in verbs.items()))


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
    "version": "--version",
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

            if args[0] == "help":
                about = f"{args[1]} -h" if args[1:] and args[1] in VERBS else "-h"
                raise UsageError("there is no verb help", hint=f"git pipeline {about}; git help pipeline shows the manual")
            near = difflib.get_close_matches(args[0], [*VERBS, *_MEANT], 3, 0.6)
            meant = list(dict.fromkeys(_MEANT.get(one, one) for one in ([args[0]] if args[0] in _MEANT else near)))
            hint = f"git pipeline {' or git pipeline '.join(meant)}" if meant else "git pipeline -h lists the verbs"
            raise UsageError(f"there is no verb {args[0]}", hint=f"did you mean {hint}?" if meant else hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, VERBS))
        for section, verbs in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(verb.ljust(widest), said) for verb, said in verbs.items()])


@click.command(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="VERB …",
    epilog="git pipeline VERB -h explains a verb, git help pipeline is the manual.",
)
@click.option("-C", "directory", type=click.Path(exists=True, file_okay=False), help="run as if started there")
@click.version_option(package_name="git-pipeline")
def program(directory: str | None) -> None:
    """AWS CodePipeline's model in the hooks of a bare git repository."""
    if directory:
        os.chdir(directory)


def main() -> None:
    """Run the program; every way out goes through here."""
    gc.set_threshold(GARBAGE)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        code = program.main(arguments, prog_name="git pipeline", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
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
    return f"{said}\nhint: {_choice(error) or pieces}; {context.command_path} -h explains it"


def _choice(error: click.ClickException) -> str:
    """What somebody may have meant who named none of a few words."""
    if not isinstance(error, click.BadParameter) or error.param is None or not isinstance(error.param.type, click.Choice):
        return ""
    import difflib

    given = error.message.split("'")[1]
    near = difflib.get_close_matches(given.lower(), [str(one) for one in error.param.type.choices], 1)
    return f"did you mean {near[0]}?" if near else ""


def _bug(error: Exception) -> int:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="git-pipeline-", suffix=".log", delete=False) as report:
        traceback.print_exception(error, file=report)
    click.echo(f"git pipeline: this is a bug ({type(error).__name__}); the details are in {report.name}", err=True)
    return 70
