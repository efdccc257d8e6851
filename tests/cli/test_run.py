"""`git pipeline run`: a work tree and commits, with the real engine, on this machine and in Docker."""

import os
import pty
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.admin.leftovers import KEPT
from tests.support.farm import Farm
from tests.support.repo import Repo
from tests.support.screen import pieces

ROOT = Path(__file__).parents[2]
IN_SHELL = "a shell with its files"
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


def in_terminal(typed: dict[str, str], *words: str, **environment: str) -> tuple[int, str]:
    """Exit code of `git pipeline run`, and what a terminal shows of it where somebody types when asked.

    What nothing comes of is typed again: Python misses a Ctrl-C that comes in the moment before it reads.
    """
    waiting = list(typed.items())
    child, terminal = pty.fork()
    if child == 0:
        os.execve(
            sys.executable, [sys.executable, "-m", "agent", "run", *words], os.environ | {"PYTHONPATH": str(ROOT)} | environment
        )
    shown, seen, last = b"", 0, b""

    def again() -> None:
        if last == b"\x03" and shown[seen:].strip() in {b"", b"^C"}:
            os.write(terminal, last)

    for piece in pieces(terminal, again):
        shown += piece
        if waiting and waiting[0][0].encode() in shown[seen:]:
            last = waiting.pop(0)[1].encode()
            os.write(terminal, last)
            seen = len(shown)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode(errors="replace")


def test_a_shell_where_it_failed(repo, tmp_path):
    repo.write({".pipeline/ci.yaml": script("echo left > behind; exit 1")})
    _, shown = in_terminal({IN_SHELL: "echo $((40+2)) $(cat behind)\nexit\n"}, "--shell-on-failure", SHELL="/bin/sh")
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
    _, shown = in_terminal({IN_SHELL: "echo $((40+2)) $(cat /tmp/behind) $(cat file)\nexit\n"}, "--shell-on-failure")
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


APPROVED = """\
stages:
  - name: sign-off
    actions:
      - name: qa
        approval: {by: [qa-lead], count: 2, not_author: true, message: Is it good?}
  - name: after
    actions:
      - name: last
        runner: local
        run: echo on we go
"""


def test_approvals_are_asked_for_at_the_terminal(repo, tmp_path):
    repo.write({".pipeline/ci.yaml": APPROVED})
    code, shown = in_terminal({"approve sign-off/qa?": "y\n", "comment": "looks fine\n"}, "--approvals")
    assert code == 0, shown
    assert "Is it good?" in shown
    assert "looks fine" in shown.partition("approved by ")[2]
    assert "on we go" in shown
    assert "git tag" not in shown
    code, shown = in_terminal({"approve sign-off/qa?": "n\n", "comment": "\n"}, "--approvals")
    assert (code, "on we go" in shown) == (1, False)
    code, shown = in_terminal({"approve sign-off/qa?": "\x03"}, "--approvals")
    assert (code, "stopping" in shown, "ci #3  stopped" in shown) == (130, True, True)


def test_without_a_terminal_nobody_is_asked(repo, call):
    repo.write({".pipeline/ci.yaml": APPROVED})
    code, out, _ = call("run", "--approvals")
    assert (code, "sign-off/qa  skipped: an approval" in out, "after/last | on we go" in out) == (0, True, True)


@pytest.fixture
def farm(tmp_path):
    made = Farm(tmp_path / "farm")
    made.host()
    yield made
    made.close()


def test_a_deploy_to_a_real_host_as_the_operators_file_says(repo, call, tmp_path, farm):
    (host,) = farm.hosts
    operators = tmp_path / "operators"
    operators.mkdir()
    (operators / "key").write_bytes(farm.key.read_bytes())
    (operators / "key").chmod(0o600)
    (operators / "known").write_text(f"{host.known}\n")
    (operators / "word").write_text("open-sesame")
    (operators / "word").chmod(0o600)
    (operators / "config.toml").write_text(
        f"""\
protected = ["main"]
[local]
enabled = true
[hosts.web]
addresses = {{{host.name} = "{host.address}:{host.port}"}}
user = "root"
key = "key"
known_hosts = "known"
[secrets.WORD]
file = "word"
"""
    )
    deploy = "deploy: {to: web, strategy: all-at-once, path: /srv/web, start: 'echo \"$(cat file) here, $WORD\"'}"
    more = f"stages: [{{name: production, actions: [{{name: web, secrets: [WORD], {deploy}}}]}}]\n"
    repo.write({".pipeline/ci.yaml": more})
    code, out, err = call("run", "--deploy", "--config", operators / "config.toml")
    assert (code, err) == (0, ""), out
    assert "production/web | " in out
    assert "committed here, ***" in out
    assert (host.root.parent / "srv" / "web" / "current" / "file").read_text() == "committed"


def test_what_nobody_has_used_for_long_goes(repo, call, tmp_path):
    repo.write({".pipeline/ci.yaml": script("exit 1")})  # the last that succeeded stay
    call("run")
    (own,) = (tmp_path / "cache" / "git-pipeline" / "run").glob("*.git")
    fresh, old = own.with_name("fresh.git"), own.with_name("old.git")
    for other in (fresh, old):
        shutil.copytree(own, other, ignore=shutil.ignore_patterns("wake"))
    long_ago = time.time() - (KEPT + timedelta(days=1)).total_seconds()
    for file in (old / "pipeline" / "config.toml", own / "pipeline" / "pruned"):
        os.utime(file, (long_ago, long_ago))
    database = sqlite3.connect(own / "pipeline" / "state.db")
    with database:
        then = datetime.fromtimestamp(long_ago, UTC).isoformat()
        database.execute("UPDATE executions SET created_at = ?, ended_at = ?", (then, then))
    database.close()
    repo.write({".pipeline/ci.yaml": script("exit 0")})
    assert call("run")[0] == 0
    assert (old.exists(), fresh.exists(), own.exists()) == (False, True, True)
    assert len(list((own / "pipeline" / "executions").iterdir())) == 1
    assert call("run")[0] == 0
    assert len(list((own / "pipeline" / "executions").iterdir())) == 2
