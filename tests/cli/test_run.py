"""`git pipeline run`: a work tree and commits, with the real engine, on this machine and in Docker."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.repo import Repo

ROOT = Path(__file__).parents[2]
PIPELINE = """\
variables:
  who: {default: world}
stages:
  - name: build
    actions:
      - name: make
        runner: local
        run: |
          mkdir dist; cp file dist/; echo "version=7" >> "$PIPELINE_OUTPUT"
        artifacts: {dist: ["dist/**"]}
        outputs: [version]
      - name: lint
        runner: local
        run: echo linted
  - name: sign-off
    actions:
      - name: qa
        approval: {by: [qa]}
  - name: test
    actions:
      - name: unit
        runner: local
        inputs: [dist]
        env: {V: "${{ make.version }}", WHO: "${{ variables.who }}"}
        run: |
          echo "$(cat dist/file) $V $WHO $(echo *)"
  - name: production
    actions:
      - name: web
        deploy: {to: web}
"""


@pytest.fixture
def repo(tmp_path, monkeypatch):
    made = Repo(tmp_path)
    for name in list(os.environ):
        if name.startswith("GIT_") or name in {"NO_COLOR", "CLICOLOR_FORCE", "COLUMNS"}:
            monkeypatch.delenv(name)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(made.clone)
    made.commit({".pipeline/ci.yaml": PIPELINE, "file": "committed"})
    return made


def script(text: str, more: str = "runner: local") -> str:
    return f"stages: [{{name: build, actions: [{{name: make, {more}, run: {text!r}}}]}}]\n"


def test_the_work_tree_with_its_changes_which_stays_as_it_is(repo, call):
    repo.write({"file": "changed", "new": "1", ".gitignore": "ignored\n", "ignored": "1"})
    before = (repo.git("status", "--porcelain"), repo.git("count-objects"), (repo.clone / ".git" / "index").read_bytes())
    code, out, err = call("run")
    assert (code, err) == (0, ""), out
    lines = out.splitlines()
    assert lines[:4] == [
        "ci of the work tree with its changes, on this machine",
        "sign-off/qa  skipped: an approval",
        "production/web  skipped: a deploy to web",
        "build/make, build/lint, test/unit: not in a container, but with your rights",
    ]
    assert "test/unit | changed 7 world dist file new" in lines
    assert lines[-1].startswith("ci #1  succeeded in ")
    after = (repo.git("status", "--porcelain"), repo.git("count-objects"), (repo.clone / ".git" / "index").read_bytes())
    assert after == before


def test_a_commit(repo, call):
    repo.write({"file": "changed"})
    _, out, _ = call("run", "--commit", "HEAD")
    assert out.startswith(f"ci of commit {repo.head[:12]}, on this machine\n")
    assert "test/unit | committed 7 world" in out


def test_one_action_with_what_makes_its_inputs_and_outputs(repo, call):
    _, out, _ = call("run", "ci", "test/unit")
    assert "test/unit | committed 7 world" in out
    assert "lint" not in out
    assert "skipped" not in out
    code, out, _ = call("run", "ci", "sign-off")
    assert (code, out.splitlines()[1:]) == (0, ["sign-off/qa  skipped: an approval", "nothing is left to run"])
    code, _, err = call("run", "ci", "tset")
    assert (code, "did you mean test" in err) == (2, True)


def test_variables_from_a_file_and_the_command_line(repo, call, tmp_path):
    file = tmp_path / "env"
    file.write_text("# of mine\nexport who='the file'\nOTHER=1\n")
    assert " the file " in call("run", "ci", "test", "--env-file", file)[1]
    assert " me " in call("run", "ci", "test", "--env-file", file, "-v", "who=me")[1]
    code, _, err = call("run", "ci", "-v", "hwo=me")
    assert (code, "ci has no variable hwo" in err) == (2, True)


def test_a_failure_is_the_exit_code_and_the_next_one_starts_anew(repo, call):
    repo.write({".pipeline/ci.yaml": script("exit 3")})
    code, out, _ = call("run")
    assert code == 1
    assert "build/make  failed" in out
    assert "exit code 3" in out
    assert "to read it" not in out
    repo.write({".pipeline/ci.yaml": script("exit 0")})
    assert call("run")[0] == 0


def test_mistakes_are_told_as_by_the_server(repo, call):
    repo.write({".pipeline/ci.yaml": "stages: 3\n"})
    code, _, err = call("run")
    assert code == 1
    assert ".pipeline/ci.yaml:1:9" in err


def test_a_secret_is_given_only_where_it_is_named_and_it_is_masked(repo, call, monkeypatch):
    repo.write(
        {".pipeline/ci.yaml": script('test "$TOKEN" = open-sesame && echo "it is $TOKEN"', "runner: local, secrets: [TOKEN]")}
    )
    monkeypatch.setenv("TOKEN", "open-sesame")
    code, out, _ = call("run")
    assert (code, "secret TOKEN is not given" in out) == (1, True)
    code, out, _ = call("run", "--secret", "TOKEN")
    assert (code, "open-sesame" in out, "build/make | it is ***" in out) == (0, False, True)


def test_what_needs_more_than_it_was_told(repo, call):
    code, _, err = call("run", "--deploy")
    assert (code, "--config FILE" in err) == (2, True)
    code, _, err = call("run", "--shell-on-failure")
    assert (code, "needs a terminal" in err) == (2, True)


def started(*words: str, **how) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "agent", "run", *words], env={**os.environ, "PYTHONPATH": str(ROOT)}, **how)


def until_gone(pid: str) -> None:
    """Return once a process has ended, whether somebody has looked after it or not."""
    deadline = time.monotonic() + 60
    while (state := Path(f"/proc/{pid}/stat")).exists() and state.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline, f"process {pid} goes on"
        time.sleep(0.02)


def test_ctrl_c_ends_what_runs(repo, tmp_path):
    repo.write({".pipeline/ci.yaml": script(f"echo $$ > {tmp_path}/pid; exec sleep 1000")})
    process = started(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (b"Traceback" in err, b"ci #1  stopped" in out) == (False, True)
    until_gone((tmp_path / "pid").read_text().strip())


def test_only_one_at_a_time(repo, call, tmp_path):
    repo.write({".pipeline/ci.yaml": script(f"touch {tmp_path}/on; until [ -e {tmp_path}/go ]; do sleep 0.02; done")})
    process = started(stdout=subprocess.DEVNULL)
    while not (tmp_path / "on").exists():
        assert process.poll() is None
        time.sleep(0.02)
    code, _, err = call("run")
    (tmp_path / "go").touch()
    assert (code, "runs here already" in err) == (1, True)
    assert process.wait() == 0


def in_terminal(typed: str, *words: str, **environment: str) -> str:
    """What a terminal shows of `git pipeline run` where somebody types when asked."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(
            sys.executable, [sys.executable, "-m", "agent", "run", *words], os.environ | {"PYTHONPATH": str(ROOT)} | environment
        )
    shown, is_typed = b"", False
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if not is_typed and b"a shell with its files" in shown:
            os.write(terminal, typed.encode())
            is_typed = True
    os.waitpid(child, 0)
    os.close(terminal)
    return shown.decode(errors="replace")


def test_a_shell_where_it_failed(repo, tmp_path):
    repo.write({".pipeline/ci.yaml": script("echo left > behind; exit 1")})
    shown = in_terminal("echo $((40+2)) $(cat behind)\nexit\n", "--shell-on-failure", SHELL="/bin/sh")
    assert "build/make failed; a shell with its files" in shown
    assert "42 left" in shown
    assert list((tmp_path / "cache").glob("git-pipeline/run/*/pipeline/workspaces/*")) == []


@pytest.mark.usefixtures("engine")
def test_in_a_container(repo, call, busybox):
    repo.write({".pipeline/ci.yaml": script("cat file; test -e /.dockerenv", f"image: {busybox!r}")})
    code, out, _ = call("run")
    assert (code, "build/make | committed" in out) == (0, True), out


@pytest.mark.usefixtures("engine")
def test_a_shell_in_the_container(repo, busybox):
    repo.write({".pipeline/ci.yaml": script("echo left > /tmp/behind; exit 1", f"image: {busybox!r}")})
    shown = in_terminal("echo $((40+2)) $(cat /tmp/behind) $(cat file)\nexit\n", "--shell-on-failure")
    assert "42 left committed" in shown


def test_what_a_killed_run_left_is_ended_and_not_gone_on_with(repo, call, tmp_path):
    repo.write({".pipeline/ci.yaml": script(f"echo $$ > {tmp_path}/pid; exec sleep 1000")})
    process = started(stdout=subprocess.DEVNULL)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    repo.write({".pipeline/ci.yaml": script("echo anew")})
    code, out, _ = call("run")
    assert (code, "ci #1" in out, "build/make | anew" in out) == (0, False, True)
    until_gone((tmp_path / "pid").read_text().strip())
