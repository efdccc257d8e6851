"""Phases as CodeBuild runs them (codepipeline.md 3), in every shell that images have."""

import shutil
import subprocess

import pytest

from agent.actions.outputs import parse
from agent.definition.buildspec.document import Buildspec
from agent.definition.buildspec.script import script

SHELLS = [argv for argv in (["dash"], ["bash"], ["busybox", "sh"]) if shutil.which(argv[0])]


@pytest.fixture(params=SHELLS, ids=lambda argv: argv[0])
def run(request, tmp_path):
    """Runs phases; returns exit code, what the commands printed, and outputs."""

    def run(version="0.2", exported=(), inputs=(), **phases):
        written = {name: phase if isinstance(phase, dict) else {"commands": phase} for name, phase in phases.items()}
        spec = Buildspec.model_validate({"version": version, "env": {"exported-variables": list(exported)}, "phases": written})
        file = tmp_path / "script"
        file.write_text(script(spec, inputs))
        output = tmp_path / "output"
        output.write_text("")
        names = ("NAME", "NUMBER", "EXECUTION", "COMMIT", "BRANCH", "TAG")
        env = {f"PIPELINE_{name}": name.lower() for name in names} | {
            "PATH": "/usr/bin:/bin",
            "PIPELINE_OUTPUT": str(output),
            "PIPELINE_WORKSPACE": str(tmp_path),
            "PIPELINE_INPUT_MY_LIB": "/lib",
        }
        done = subprocess.run(
            [*request.param, "-e", str(file)], env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        said = [line for line in done.stdout.splitlines() if not line.startswith("[")]
        return done.returncode, said, parse(output.read_bytes(), exported).values if done.returncode == 0 else {}

    return run


def test_all_phases_in_one_shell(run, tmp_path):
    (tmp_path / "a").mkdir()
    code, said, _ = run(
        install=["cd a", "NAME=x"],
        pre_build=["greet() { echo hello $1; }"],
        build=["greet $NAME"],
        post_build=['basename "$PWD"'],
    )
    assert (code, said) == (0, ["hello x", "a"])


def test_version_01_gives_each_command_a_shell(run):
    code, said, _ = run(version="0.1", build=["A=b; cd /", 'echo "${A-none}"', "exit 0", "echo on"])
    assert (code, said) == (0, ["none", "on"])


def test_a_failed_command_skips_the_rest_of_its_phase_but_finally(run):
    code, said, _ = run(
        build={"commands": ["echo 1", "(exit 3)", "echo 2"], "finally": ["echo finally"]},
        post_build=["echo post $CODEBUILD_BUILD_SUCCEEDING"],
    )
    assert (code, said) == (3, ["1", "finally", "post 0"])


@pytest.mark.parametrize("phase", ["install", "pre_build"])
def test_a_build_ends_with_a_failed_preparation(run, phase):
    code, said, _ = run(**{phase: {"commands": ["false"], "finally": ["echo finally"]}}, build=["echo 1"], post_build=["echo 2"])
    assert (code, said) == (1, ["finally"])


@pytest.mark.parametrize(
    ("phase", "failing", "wanted"),
    [
        ("install", "CONTINUE", ["build 0", "post 0"]),
        ("install", "ABORT", []),
        ("install", "RETRY", []),
        ("build", "ABORT", []),
        ("build", "CONTINUE", ["post 0"]),
        ("build", "RETRY-1", ["post 0"]),
    ],
)
def test_on_failure(run, phase, failing, wanted):
    state = "$CODEBUILD_BUILD_SUCCEEDING"
    phases = {"install": [":"], "build": [f"echo build {state}"], "post_build": [f"echo post {state}"]}
    code, said, _ = run(**{**phases, phase: {"commands": ["false"], "on-failure": failing}})
    assert (code, said) == (1, wanted)


def test_a_failed_finally_fails_the_phase(run):
    code, said, _ = run(pre_build={"commands": ["true"], "finally": ["(exit 4)", "echo no"]}, build=["echo no"])
    assert (code, said) == (4, [])


def test_the_first_failure_is_the_exit_code(run):
    code, said, _ = run(build=["(exit 3)"], post_build=["(exit 4)", "echo no"])
    assert (code, said) == (3, [])


@pytest.mark.parametrize(
    "command",
    ["exit 5", "leave() { exit 5; }; leave", "set -e; (exit 5); echo no", "set -eu; sh -c 'exit 5'"],
)
def test_a_command_that_leaves_the_shell_does_not_leave_the_build(run, command):
    code, said, _ = run(
        pre_build=["NAME=x"],
        build={"commands": [command, "echo no"], "finally": ["echo finally $NAME"]},
        post_build=["echo post"],
    )
    assert (code, said) == (5, ["finally x", "post"])


def test_exit_0_ends_the_command_alone(run):
    code, said, outputs = run(exported=["V"], build=["V=1; if true; then exit 0; fi", "echo on"], post_build=["echo post"])
    assert (code, said, outputs) == (0, ["on", "post"], {"V": "1"})


def test_a_syntax_error_is_a_failed_command(run):
    code, said, _ = run(build=["if ; then"], post_build=["echo post"])
    assert code
    assert said == ["post"]


def test_a_second_exit(run, request):
    code, said, _ = run(build=["exit 5"], post_build={"commands": ["exit 6"], "finally": ["echo finally"]})
    busybox = "busybox" in request.node.name  # its shell has no trap inside of a trap
    assert (code, said) == (6, []) if busybox else (5, ["finally"])


def test_a_trap_of_the_user_never_makes_a_success(run):
    code, said, _ = run(build=["trap 'echo bye' EXIT", "exit 0", "echo no"])
    assert code == 1
    assert said == ["bye", "a command left the build by exit"]


def test_a_failure_that_looks_like_our_end(run):
    assert run(build=["(exit 90)"])[0] == 1


def test_commands_have_no_arguments_of_ours(run):
    assert run(build=['echo "<$*>"'])[1] == ["<>"]


def test_exported_variables(run):
    value = "a\nEND_OF_VALUE\nb=c\n\"'$x`"
    code, _, outputs = run(exported=["A", "B", "NONE"], build=[f"A='{value}'".replace("'$", "'\"'\"'$"), "export B=1"])
    assert (code, outputs) == (0, {"A": value, "B": "1", "NONE": ""})


def test_nothing_is_exported_from_a_failed_build(run, tmp_path):
    run(exported=["A"], build=["A=1", "false"])
    assert (tmp_path / "output").read_text() == ""


def test_variables_of_codebuild(run, tmp_path):
    names = ["BUILD_ID", "BUILD_NUMBER", "INITIATOR", "RESOLVED_SOURCE_VERSION", "SRC_DIR", "SRC_DIR_my_lib"]
    names += ["WEBHOOK_TRIGGER", "WEBHOOK_HEAD_REF"]
    _, said, _ = run(inputs=["my-lib"], build=[f"sh -c 'echo $CODEBUILD_{name}'" for name in names])
    assert said == [
        "name:execution",
        "number",
        "codepipeline/name",
        "commit",
        str(tmp_path),
        "/lib",
        "branch/branch",
        "refs/heads/branch",
    ]


def test_commands_are_told_as_they_are_written():
    text = script(Buildspec.model_validate({"version": "0.2", "phases": {"build": {"commands": "echo 'a  b'"}}}), (), ["it's so"])
    done = subprocess.run(["sh", "-c", f"PIPELINE_NAME=x; {text}"], capture_output=True, text=True, check=True)
    assert done.stdout == "it's so\n[build] echo 'a  b'\na  b\n"


def test_no_phase_is_needed(run):
    assert run(build=["echo only"])[:2] == (0, ["only"])
