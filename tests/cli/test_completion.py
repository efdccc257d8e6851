"""`git pipeline completion`: run by the shells themselves."""

import os
import pty
import re
import select
import subprocess
from pathlib import Path

import pytest

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
OF_GIT = Path("/usr/share/bash-completion/completions/git")


@pytest.fixture
def complete(call, tmp_path):
    script = tmp_path / "completion"
    script.write_text(call("completion", "bash")[1])

    def complete(function: str, *words: str) -> list[str]:
        quoted = " ".join(f"'{word}'" for word in words)
        text = f'. {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; {function}; printf "%s\\n" "${{COMPREPLY[@]}}"'
        return subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True).stdout.split()

    return complete


@pytest.mark.parametrize("function", ["_git_pipeline", "_git_pipeline_of_git"])
def test_bash_completes_verbs_and_options(complete, function):
    assert complete(function, "git", "pipeline", "st") == ["start", "status", "stop"]
    assert complete(function, "git", "pipeline", "stop", "--ab") == ["--abandon"]
    assert complete(function, "git", "pipeline", "stop", "") == []


def test_bash_completes_the_program_itself(complete):
    assert complete("_git_pipeline", "git-pipeline", "ap") == ["approvals", "approve"]


def test_fish_completes(call, tmp_path):
    script = tmp_path / "script"
    script.write_text(call("completion", "fish")[1])

    def complete(line: str) -> list[str]:
        done = subprocess.run(
            ["fish", "-c", f"source {script}; complete -C '{line}'"], capture_output=True, text=True, check=True
        )
        return [found.split("\t")[0] for found in done.stdout.splitlines()]

    assert [word for word in complete("git pipeline st") if not word.endswith("/")] == ["start", "status", "stop"]
    assert complete("git pipeline stop --ab") == ["--abandon"]
    assert complete("git-pipeline appr") == ["approvals", "approve"]


def test_zsh_can_read_it_and_has_the_function_that_gits_own_completion_calls(call, tmp_path):
    script = tmp_path / "script"
    script.write_text(call("completion", "zsh")[1])
    assert subprocess.run(["zsh", "-n", str(script)], check=False).returncode == 0
    asked = f"source {script}; whence -w _git-pipeline"
    done = subprocess.run(["zsh", "-f", "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "_git-pipeline: function\n"


def typed(shell: list[str], *steps: tuple[str, str]) -> None:
    """Types in a shell on a real terminal; each step waits for what it must show."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(shell[0], shell, {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TERM": "xterm"})
    try:
        for keys, expected in steps:
            os.write(terminal, keys.encode())
            shown = ""
            while expected not in ESCAPES.sub("", shown):
                assert select.select([terminal], [], [], 30)[0], f"{keys!r} shows only {shown!r}"
                shown += os.read(terminal, 65536).decode(errors="replace")
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def test_the_tab_key_in_zsh_with_its_own_completion_of_git(call, tmp_path):
    script = tmp_path / "script"
    script.write_text(call("completion", "zsh")[1])
    typed(
        ["zsh", "-f", "-i"],
        (f"autoload -Uz compinit; compinit -u -D; source {script}; print rea''dy\n", "ready"),
        ("git pipeline appr\t\t", "say yes to an approval"),
        ("\x15git pipeline sto\t--ab\t", "--abandon"),
        ("\x15git-pipeline sta\t\t", "start an execution by hand"),
    )


@pytest.mark.parametrize("with_gits_own", [True, False])
def test_the_tab_key_in_bash(call, tmp_path, with_gits_own):
    script = tmp_path / "script"
    script.write_text(call("completion", "bash")[1])
    if with_gits_own and not OF_GIT.exists():
        pytest.skip("git came without its completion")
    typed(
        ["bash", "--norc", "-i"],
        (f"{f'source {OF_GIT};' if with_gits_own else ''} source {script}; echo rea''dy\n", "ready"),
        ("git pipeline st\t\t", "status"),
        ("\x15git pipeline sto\t--ab\t", "--abandon"),
        ("\x15git-pipeline explai\t", "explain"),
    )
