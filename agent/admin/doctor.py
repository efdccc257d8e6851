"""Looks at a repository with the agent, and says what is wrong and what to do about it. It changes nothing."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from agent.admin import engine, install
from agent.config import Config, parse
from agent.errors import AgentError, ConfigError
from agent.git.command import Git
from agent.model.value import Value
from agent.state.database import Database, open_existing
from agent.state.journal import Journal
from agent.state.outbox import Outbox
from agent.state.pushes import Pushes
from agent.state.queue import Queue
from agent.worker import wake
from agent.worker.configured import SYSTEM_CONFIG
from agent.worker.routes import Routes

OLDEST_GIT = (2, 34)  # the first that verifies tags signed with SSH keys
SKEW = timedelta(seconds=5)
STALE = timedelta(minutes=1)
REMEMBERED = timedelta(days=7)  # for so long a notice that was given up is spoken of
LITTLE, MUCH_TOO_LITTLE = 1024**3, 100 * 1024**2  # free bytes


class Level(StrEnum):
    """How bad it is; only WRONG makes the command fail."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


class Finding(Value, frozen=True, kw_only=True):
    """One thing that was looked at, and what to do unless it is all right."""

    level: Level
    text: str
    hint: str = ""


class Patient(Value, frozen=True, kw_only=True):
    """What is examined, and by whom."""

    repository: Path
    environment: dict[str, str]
    uid: int
    now: datetime
    system_config: Path = SYSTEM_CONFIG

    @property
    def directory(self) -> Path:
        return self.repository / "pipeline"


def examine(patient: Patient) -> tuple[Finding, ...]:
    """Everything there is to say, in the order in which it should be mended. Never raises for what is merely broken."""
    try:
        place = install.Place(patient.repository, patient.environment, patient.uid)
    except AgentError as error:
        return (Finding(level=Level.WRONG, text=error.message, hint=error.hint),)
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: _git(place.git),
        lambda: _permissions(patient),
        lambda: _hooks(place),
        lambda: _settings(place.git),
        lambda: _config(patient),
        lambda: _disk(patient),
        lambda: _clock(patient),
        lambda: _state(patient),
        lambda: _worker(patient),
        lambda: _locks(patient),
    )
    return tuple(finding for check in checks for finding in _guarded(check))


def _guarded(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except AgentError as error:
        yield Finding(level=Level.WRONG, text=error.message, hint=error.hint)
    except OSError as error:
        yield Finding(level=Level.WRONG, text=f"{error.filename}: {error.strerror}", hint="look at its owner and mode")


def _fine(text: str) -> Finding:
    return Finding(level=Level.OK, text=text)


def _wrong(text: str, hint: str) -> Finding:
    return Finding(level=Level.WRONG, text=text, hint=hint)


def _warning(text: str, hint: str) -> Finding:
    return Finding(level=Level.WARNING, text=text, hint=hint)


def _git(git: Git) -> Iterator[Finding]:
    words = git.run("--version").decode().strip()
    found = re.search(r"(\d+)\.(\d+)", words)
    if found and (int(found[1]), int(found[2])) < OLDEST_GIT:
        yield _wrong(f"{words} is too old", f"install git {OLDEST_GIT[0]}.{OLDEST_GIT[1]} or newer")
    else:
        yield _fine(words)


def _permissions(patient: Patient) -> Iterator[Finding]:
    directory = patient.directory
    if not directory.is_dir():
        yield _wrong(f"{directory} is missing: the agent is not installed here", f"git pipeline install {patient.repository}")
        return
    for path in (directory, *directory.iterdir()):
        found = path.lstat()
        if found.st_uid != patient.uid:
            yield _wrong(f"{path} belongs to user {found.st_uid}", f"chown {patient.uid} {path}")
    if directory.stat().st_mode & 0o077:
        yield _warning(f"{directory} is open to other users, and logs may stand in it", f"chmod 700 {directory}")
    else:
        yield _fine(f"{directory} belongs to this user alone")


def _hooks(place: install.Place) -> Iterator[Finding]:
    again = f"git pipeline install {place.repository}"
    for name in install.HOOKS:
        hook = place.hooks / name
        if not hook.is_file() or install.MARK not in hook.read_text(errors="replace"):
            yield _wrong(f"{hook} is not the agent's", again)
            continue
        named = re.search(r"^python='(.*)'$", hook.read_text(), re.MULTILINE)
        python = Path(named[1] if named else "")
        if not os.access(hook, os.X_OK):
            yield _wrong(f"{hook} is not executable, so git passes it over", f"chmod +x {hook}")
        elif trouble := _does_not_run(python, name):
            yield _wrong(f"{hook} does not run: {trouble}", f"{again} with the interpreter that has git-pipeline")
        elif hook.read_text() != install.shim(name, python, shared=place.is_shared):
            yield _warning(f"{hook} is of another version", again)
        else:
            yield _fine(f"{hook} runs under {python}")


def _does_not_run(python: Path, name: str) -> str:
    module = f"agent.hooks.{name.replace('-', '_')}"
    try:
        done = subprocess.run([python, "-I", "-c", f"import {module}"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{python}: {error}"
    return "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def _settings(git: Git) -> Iterator[Finding]:
    _, out, _ = git.call("config", "--type=bool", "--get", "receive.advertisePushOptions")
    if out.strip() == b"true":
        yield _fine("push options are taken")
    else:
        yield _wrong(
            "push options are refused (git push -o pipeline.skip)",
            f"git --git-dir={git.git_dir} config receive.advertisePushOptions true",
        )
    _, out, _ = git.call("config", "--get", "core.fsync")
    if not out.strip():
        yield _warning(
            "git does not sync what is pushed: power loss can take it", f"git --git-dir={git.git_dir} config core.fsync committed"
        )


def _config(patient: Patient) -> Iterator[Finding]:
    paths = (patient.system_config, patient.directory / "config.toml")
    config = parse({str(path): path.read_bytes() for path in paths if path.is_file()})
    yield _fine("the configuration can be read")
    yield from _engine(patient.environment, config)
    yield from _hosts(patient, config)
    for name, other in sorted(config.repositories.items()):
        if not (Path(other.path) / "pipeline" / "state.db").is_file():
            hint = f"git pipeline install {other.path}, or take [repositories.{name}] out"
            yield _wrong(f"repository {name}: the agent is not installed in {other.path}", hint)


def _engine(environment: Mapping[str, str], config: Config) -> Iterator[Finding]:
    host = config.docker.host or environment.get("DOCKER_HOST") or engine.USUAL
    try:
        yield _fine(f"Docker {engine.version(host)} answers at {host}")
    except OSError as error:
        hint = "start it, let this user use it (group docker), or name another under [docker] host"
        yield _wrong(f"Docker does not answer at {host}: {error.strerror or error}", hint)


def _hosts(patient: Patient, config: Config) -> Iterator[Finding]:
    """What can be seen from here: nobody is connected to."""
    home = Path(patient.environment.get("HOME", "~")).expanduser()
    routes = Routes(patient.directory, home, "", lambda _: b"", lambda *_: None)
    for name, group in sorted(config.hosts.items()):
        faults = list(routes.problems(group))
        if group.passphrase and group.passphrase not in config.secrets:
            faults.append(ConfigError(f"its `passphrase` names no secret that is there: {group.passphrase}"))
        yield from (_wrong(f"host group {name}: {fault.message}", fault.hint.replace("GROUP", name)) for fault in faults)
        if not faults:
            yield _fine(f"host group {name} has its keys; git pipeline hosts {name} connects")


def _disk(patient: Patient) -> Iterator[Finding]:
    free = shutil.disk_usage(patient.repository).free
    text = f"{free / 1024**3:.1f} GiB are free on the disk of {patient.repository}"
    nodes = os.statvfs(patient.repository)
    if free < MUCH_TOO_LITTLE or (nodes.f_files and nodes.f_favail < 1000):
        yield _wrong(
            text if free < MUCH_TOO_LITTLE else "the disk has no room for further files",
            "make room; git pipeline gc removes old artifacts",
        )
    elif free < LITTLE:
        yield _warning(text, "make room; git pipeline gc removes old artifacts")
    else:
        yield _fine(text)


def _clock(patient: Patient) -> Iterator[Finding]:
    probe = patient.directory / f".doctor.{os.getpid()}"
    probe.touch()
    written = datetime.fromtimestamp(probe.stat().st_mtime, UTC)
    probe.unlink()
    if abs(written - patient.now) > SKEW:
        yield _wrong(f"the clock says {patient.now}, the file system {written}", "set the clocks by NTP")
    else:
        yield _fine("the clock agrees with the file system")


def _state(patient: Patient) -> Iterator[Finding]:
    path = patient.directory / "state.db"
    if not path.exists():
        yield _warning(f"{path} is missing; the next push makes it", f"git pipeline install {patient.repository}")
        return
    database = open_existing(str(path))
    try:
        yield from _database(patient, database)
    finally:
        database.close()


def _database(patient: Patient, database: Database) -> Iterator[Finding]:
    resume = f"git pipeline resume {patient.repository}"
    if damage := database.check():
        yield _wrong(
            f"{database.path} is damaged: {damage}", "move it away with its -wal and -shm files; what was published stands in git"
        )
        return
    active = len(Queue(database).active())
    yield _fine(f"{database.path} is sound; {active} executions have not ended")
    last = Journal(database).last_at()
    if last and datetime.fromisoformat(last) - patient.now > SKEW:
        yield _wrong(f"the journal reaches into the future: {last}", "set the clock; until then deadlines are wrong")
    waiting = [push for push in Pushes(database).open() if patient.now - datetime.fromisoformat(push.received_at) > STALE]
    if waiting:
        yield _wrong(f"{len(waiting)} pushes were not taken in since {waiting[0].received_at}", resume)
    yield from _outbox(patient, Outbox(database))
    if active and not wake.is_heard(str(patient.directory)) and not _is_locked(str(patient.directory / "worker.lock")):
        yield _wrong(f"{active} executions wait, and no worker runs", resume)


def _outbox(patient: Patient, outbox: Outbox) -> Iterator[Finding]:
    """Notifications and commit statuses that the other side does not take."""
    for letter in outbox.late():
        yield _warning(
            f"{letter.target} does not take {letter.event} of {letter.label} since {letter.at[:16]}: {letter.error}",
            "it is tried again for a day; look at the destination, and at [[notify]] or [[status]] in pipeline/config.toml",
        )
    for letter in outbox.given_up((patient.now - REMEMBERED).isoformat()):
        yield _warning(
            f"{letter.target} never took {letter.event} of {letter.label}, {letter.at[:16]}: {letter.error}",
            "tell them by other means, and look at [[notify]] or [[status]] in pipeline/config.toml",
        )


def _worker(patient: Patient) -> Iterator[Finding]:
    heard = wake.is_heard(str(patient.directory))
    lock = patient.directory / "worker.lock"
    if heard:
        yield _fine("a worker runs")
    elif _is_locked(str(lock)):
        yield _wrong("a process holds the worker's lock, but does not listen: it is stuck", f"look at it with: fuser -v {lock}")
    else:
        yield _fine("no worker runs; the next push starts one")


def _locks(patient: Patient) -> Iterator[Finding]:
    """Locks of git that a killed process left: nobody can write these files again."""
    repository = patient.repository
    for path in (*repository.glob("*.lock"), *(repository / "refs").rglob("*.lock"), *(repository / "objects").glob("??/*.lock")):
        age = patient.now - datetime.fromtimestamp(path.stat().st_mtime, UTC)
        if age > STALE:
            yield _wrong(
                f"{path} is {int(age.total_seconds() // 60)} minutes old: a killed git left it",
                f"if no git runs there: rm {path}",
            )


def _is_locked(path: str) -> bool:
    """Whether another process holds the flock of this file. Takes it for a moment if not; a worker waits longer than that."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
