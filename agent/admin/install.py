"""Puts the agent into a bare repository and takes it out again. Both can be repeated; what was there before is kept and put back.

What was changed stands in `<repo>.git/pipeline/installed.json`, written before anything is changed.
"""

import json
import os
import shutil
from collections.abc import Mapping
from functools import reduce
from pathlib import Path

import agent
from agent.admin import registry
from agent.errors import EnvironmentFault, RefusedError, UsageError
from agent.git.command import Git
from agent.state.database import open_database
from agent.state.queue import Queue
from agent.worker import keys, wake
from agent.worker.intake import prepare

HOOKS = ("pre-receive", "post-receive")
CHAINED = ".git-pipeline-chained"
MARK = "git-pipeline-shim"
# key -> value, and whether a value that the operator chose is left alone
SETTINGS = {
    "receive.advertisePushOptions": ("true", False),
    "receive.fsckObjects": ("true", True),  # refuses trees with .git, .. or duplicate entries
    "core.fsync": ("committed", True),  # git's default syncs neither pushed objects nor refs
}
DIRECTORIES = ("", "executions", "artifacts", "cache")


class Place:
    """A bare repository, and where things of ours are in it. Raises UsageError or RefusedError if it cannot be used."""

    def __init__(self, repository: Path, environment: Mapping[str, str], uid: int) -> None:
        self.repository = repository.resolve()
        self.git = Git(self.repository, environment)
        _refuse_if_not_ours(self.repository, uid)
        _refuse_if_not_bare(self.git)
        path = Path(os.fsdecode(self.git.run("rev-parse", "--git-path", "hooks")).rstrip("\n"))
        self.hooks = path if path.is_absolute() else self.repository / os.path.relpath(path, self.repository)
        self.directory = self.repository / "pipeline"
        self.record = self.directory / "installed.json"

    @property
    def is_shared(self) -> bool:
        """Whether the hooks stand outside of the repository (core.hooksPath), where others may use them too."""
        return not self.hooks.resolve().is_relative_to(self.repository)


def install(repository: Path, python: Path, environment: Mapping[str, str], uid: int, registered: Path) -> tuple[str, ...]:
    """Install, and say what was changed, in words; nothing if it all was there.

    `python` is the interpreter of the hooks. Raises an AgentError, before anything is changed, if the repository cannot be used.
    """
    place = Place(repository, environment, uid)
    _refuse_if_hooks_collide(place)
    done = _make_directories(place)
    former = _recorded(place)
    if not former:
        former = {key: _values(place.git, key) for key in SETTINGS}
        place.record.write_text(json.dumps({"settings": former}, indent=2) + "\n")
    done += _write_config(place) + _make_key(place) + _make_state(place)
    done += [line for name in HOOKS if (line := _put_hook(place, name, python))]
    done += [line for key in SETTINGS if (line := _put_setting(place.git, key, former[key]))]
    if registry.add(registered, place.repository):
        done.append(f"added to {registered}")
    return tuple(done)


def uninstall(
    repository: Path, environment: Mapping[str, str], uid: int, registered: Path, *, purge: bool = False
) -> tuple[str, ...]:
    """Put everything back and say what was done. The state stays where executions are recorded, unless `purge` is asked for."""
    place = Place(repository, environment, uid)
    if wake.is_heard(str(place.directory)):
        raise RefusedError("a worker is running here", hint="let it end, or stop its executions; then run this again")
    others = [path for path in registry.repositories(registered) if path != place.repository]
    done = [] if _hooks_serve(place, others, environment) else [line for name in HOOKS if (line := _take_hook(place, name))]
    done += [line for key, values in _recorded(place).items() if (line := _restore_setting(place.git, key, values))]
    if registry.remove(registered, place.repository):
        done.append(f"taken off {registered}")
    return (*done, *_remove_state(place, purge))


def shim(name: str, python: Path, *, shared: bool) -> str:
    """The text of a hook. Raises EnvironmentFault where the package is incomplete."""
    root = Path(agent.__file__).parent.parent
    for path in (python, root):
        if set("'\"\\\n") & set(str(path)):
            raise UsageError(
                f"the path {path} holds a quote, and the hooks cannot", hint="install git-pipeline under another path"
            )
    filled = {"@PYTHON@": str(python), "@ROOT@": str(root), "@SHARED@": "yes" if shared else "no"}
    return reduce(lambda text, word: text.replace(word, filled[word]), filled, template(name))


def template(name: str) -> str:
    """A file of the top-level folder `hooks/`, which a wheel carries as `agent/_hooks/`."""
    package = Path(agent.__file__).parent
    for folder in (package / "_hooks", package.parent / "hooks"):
        if (folder / name).is_file():
            return (folder / name).read_text()
    raise EnvironmentFault(f"this installation of git-pipeline lacks hooks/{name}", hint="install it again")


def _refuse_if_not_ours(repository: Path, uid: int) -> None:
    try:
        owner = repository.stat().st_uid
    except OSError as error:
        raise UsageError(f"{repository}: {error.strerror}") from error
    if owner != uid:
        raise RefusedError(
            f"{repository} belongs to user {owner}, and this is user {uid}: the hooks could not use each other's files",
            hint=f"run it as the owner: sudo -u '#{owner}' git pipeline install {repository}",
        )


def _refuse_if_not_bare(git: Git) -> None:
    code, out, _ = git.call("rev-parse", "--is-bare-repository")
    if code and not Path(git.git_dir, ".git").exists():
        raise UsageError(f"{git.git_dir} is not a git repository", hint="name a bare one: git init --bare REPO.git")
    if code or out.strip() != b"true":
        raise UsageError(
            f"{git.git_dir} is not a bare repository: a push would not change its files",
            hint="name the bare repository that people push to; git clone --bare makes one",
        )


def _refuse_if_hooks_collide(place: Place) -> None:
    for name in HOOKS:
        hook, chained = place.hooks / name, place.hooks / (name + CHAINED)
        if hook.is_symlink() and hook.resolve() in {place.hooks.resolve() / other for other in HOOKS}:
            raise RefusedError(f"{hook} is a link to another hook, which will move", hint="make it a copy, then try again")
        if os.path.lexists(hook) and os.path.lexists(chained) and not _is_ours(hook):
            raise RefusedError(
                f"{hook} and {chained} are both hooks of somebody else", hint="merge them into one, then try again"
            )


def _make_directories(place: Place) -> list[str]:
    done = []
    for name in DIRECTORIES:
        path = place.directory / name
        if not path.is_dir():
            path.mkdir(mode=0o700)
            done.append(f"made {path}")
        if path.stat().st_mode & 0o777 != 0o700:
            path.chmod(0o700)
            done.append(f"closed {path} to others")
    return done


def _recorded(place: Place) -> dict[str, list[str]]:
    try:
        settings: dict[str, list[str]] = json.loads(place.record.read_text())["settings"]
    except (OSError, ValueError, KeyError):
        return {}
    return settings


def _write_config(place: Place) -> list[str]:
    path = place.directory / "config.toml"
    if path.exists():
        return []
    path.touch(mode=0o600)
    path.write_text(template("config.toml"))
    return [f"wrote {path}"]


def _make_key(place: Place) -> list[str]:
    made = keys.make(place.directory)
    return [f"made {place.directory / keys.NAME}, which signs results: {made.line} ({made.fingerprint})"] if made else []


def _make_state(place: Place) -> list[str]:
    wake.make(str(place.directory))
    path = place.directory / "state.db"
    if path.exists():
        return []
    database = open_database(str(path))
    try:
        prepare(place.git, database)
    finally:
        database.close()
    return [f"made {path}"]


def _is_ours(hook: Path) -> bool:
    try:
        return hook.is_file() and not hook.is_symlink() and MARK in hook.read_bytes()[:1000].decode(errors="replace")
    except OSError:
        return False


def _put_hook(place: Place, name: str, python: Path) -> str:
    hook = place.hooks / name
    text = shim(name, python, shared=place.is_shared)
    if hook.is_file() and hook.read_bytes() == text.encode() and os.access(hook, os.X_OK):
        return ""
    place.hooks.mkdir(exist_ok=True, parents=True)
    chained = os.path.lexists(hook) and not _is_ours(hook)
    fresh = place.hooks / f".{name}.{os.getpid()}"
    fresh.write_text(text)
    fresh.chmod(0o755)
    if chained:
        hook.rename(place.hooks / (name + CHAINED))
    fresh.replace(hook)
    return f"wrote {hook}" + (f"; the one before is {name}{CHAINED} and still runs" if chained else "")


def _take_hook(place: Place, name: str) -> str:
    hook, chained = place.hooks / name, place.hooks / (name + CHAINED)
    if not _is_ours(hook):
        return ""
    if os.path.lexists(chained):
        chained.replace(hook)
        return f"put the former {hook} back"
    hook.unlink()
    return f"removed {hook}"


def _hooks_serve(place: Place, others: list[Path], environment: Mapping[str, str]) -> bool:
    """Whether another repository with the agent runs the same hooks."""
    if not place.is_shared:
        return False
    paths = (Git(path, environment).call("rev-parse", "--git-path", "hooks")[1] for path in others if path.is_dir())
    return any(Path(os.fsdecode(path).rstrip("\n")).resolve() == place.hooks.resolve() for path in paths)


def _values(git: Git, key: str) -> list[str]:
    return git.call("config", "--local", "--get-all", key)[1].decode(errors="surrogateescape").splitlines()


def _put_setting(git: Git, key: str, former: list[str]) -> str:
    value, respects = SETTINGS[key]
    if _values(git, key) == [value] or (respects and former):
        return ""
    git.run("config", "--local", "--replace-all", key, value)
    return f"set {key} = {value}"


def _restore_setting(git: Git, key: str, former: list[str]) -> str:
    now = _values(git, key)
    if now != [SETTINGS[key][0]] or now == former:
        return ""  # somebody has changed it since: theirs
    git.run("config", "--local", "--unset-all", key)
    for value in former:
        git.run("config", "--local", "--add", key, value)
    return f"set {key} back" if former else f"unset {key}"


def _remove_state(place: Place, purge: bool) -> tuple[str, ...]:
    if not place.directory.is_dir():
        return ()
    place.record.unlink(missing_ok=True)
    if not purge and _is_used(place):
        return (f"{place.directory} stays, with the configuration and the executions; --purge removes it",)
    shutil.rmtree(place.directory)
    return (f"removed {place.directory}",)


def _is_used(place: Place) -> bool:
    config = place.directory / "config.toml"
    if config.exists() and config.read_text() != template("config.toml"):
        return True
    database = open_database(str(place.directory / "state.db"))
    try:
        return bool(Queue(database).history(limit=1))
    finally:
        database.close()
