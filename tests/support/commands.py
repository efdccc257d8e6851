"""The reference of commands, docs/commands.md, and the manual page, docs/git-pipeline.1: both made of the program.

`python -m tests.support.commands` writes them anew.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from agent.cli import main
from agent.cli.main import VERBS, program

DOCS = Path(__file__).parents[2] / "docs"
PAGE, MANUAL = DOCS / "commands.md", DOCS / "git-pipeline.1"
INTRODUCTION = """\
# Commands

`git pipeline VERB`, in a clone or on the server. This page is made of the program: `git pipeline VERB -h` says the same.

- In a clone the verbs fetch the notes with plain git first (`--no-fetch` leaves that out), and what steers is a signed tag
  that is pushed; `--dry-run` prints the plain git commands instead. With `--repo REPO.git`, or inside the bare repository,
  they work on the live state.
- EXECUTION is `42`, `release#42`, an id, a pipeline (its last one) or a revision (its last one).
- `-C DIRECTORY` before the verb runs it there. Long output is paged as git does it: `GIT_PAGER`, `pager.pipeline`, `core.pager`,
  only on a terminal.
- Colours: `NO_COLOR`, `CLICOLOR_FORCE`, `color.pipeline`, `color.ui`, only on a terminal. `--porcelain` and `--json` are never
  coloured or paged, and what they print keeps its form.
- `git pipeline completion bash|zsh|fish` prints the completion for your shell; `git pipeline --help` opens the manual page.
"""


def commands() -> dict[str, click.Command]:
    """Every verb with its command."""
    context = click.Context(program)
    return {verb: found for verb in VERBS if (found := program.get_command(context, verb))}


def exit_codes() -> str:
    """As the docstring of the program has them."""
    return re.sub(r"\s+", " ", (main.__doc__ or "").partition("Exit codes: ")[2]).strip()


def usage(verb: str, command: click.Command) -> str:
    pieces = command.collect_usage_pieces(click.Context(command))
    return " ".join(["git pipeline", verb, *pieces])


def paragraphs(command: click.Command) -> list[str]:
    """The help text; lines of a paragraph that begins with \\b stay as they are."""
    found = []
    for part in re.split(r"\n\s*\n", (command.help or "").strip()):
        kept = part.strip().startswith("\b")
        lines = [line.rstrip() for line in part.replace("\b", "").strip("\n").splitlines()]
        found.append("\n".join(f"    {line.strip()}" for line in lines) if kept else " ".join(line.strip() for line in lines))
    return found


def options(command: click.Command) -> Iterator[tuple[str, str]]:
    context = click.Context(command)
    for parameter in command.params:
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record:
            yield record[0], re.sub(r"\s+", " ", record[1])


def markdown() -> str:
    """docs/commands.md."""
    listed = [f"- [`{verb}`](#{verb}): {said}" for verb, said in VERBS.items()]
    parts = [INTRODUCTION, "Exit codes: " + exit_codes() + "\n", "\n".join(listed) + "\n"]
    for verb, command in commands().items():
        parts.append(f"## {verb}\n\n```\n{usage(verb, command)}\n```\n")
        parts += [f"{paragraph}\n" for paragraph in paragraphs(command)]
        rows = [
            f"| `{form.replace('|', chr(92) + '|')}` | {said.replace('|', chr(92) + '|')} |" for form, said in options(command)
        ]
        if rows:
            parts.append("\n".join(["| option | meaning |", "|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def roff() -> str:
    """The manual page."""
    lines = [
        '.TH GIT\\-PIPELINE 1 "" "git\\-pipeline" "Git Manual"',
        ".SH NAME",
        f"git\\-pipeline \\- {_text(program.help or '')}",
        ".SH SYNOPSIS",
        r"\fBgit pipeline\fR [\fB\-C\fR \fIdirectory\fR] \fIverb\fR [\fIoptions\fR]",
        ".SH DESCRIPTION",
    ]
    for line in INTRODUCTION.split("\n\n", 1)[1].replace("`", "").split("\n- "):
        lines += [".PP", _text(" ".join(line.removeprefix("- ").split()))]
    lines.append(".SH VERBS")
    for verb, command in commands().items():
        lines += [f".SS {_text(usage(verb, command))}"]
        for paragraph in paragraphs(command):
            kept = paragraph.startswith("    ")
            lines += [".nf", *map(_text, paragraph.splitlines()), ".fi"] if kept else [".PP", _text(paragraph)]
        for form, said in options(command):
            lines += [".TP", f"\\fB{_text(form)}\\fR", _text(said)]
    lines += [
        ".SH EXIT STATUS",
        _text(exit_codes()),
        ".SH SEE ALSO",
        r"\fBgit\-notes\fR(1), \fBgit\-tag\fR(1), \fBgit\-push\fR(1)",
    ]
    return "\n".join(lines) + "\n"


def _text(said: str) -> str:
    escaped = said.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    PAGE.write_text(markdown())
    MANUAL.write_text(roff())
