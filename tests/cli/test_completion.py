"""`git pipeline completion`: run by the shells themselves."""

import subprocess

import pytest


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
