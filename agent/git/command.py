"""Runs git on one repository: `posix_spawn`, an environment of our own, always `--git-dir`. The hooks import this.

git hands its hooks GIT_DIR=. and the quarantine's variables; a child that inherited them would look into the wrong repository.
"""

import os
import select
import signal
from collections.abc import Mapping

from agent.errors import EnvironmentFault

# GIT_QUARANTINE_PATH stays, so that git itself forbids a child to move refs before the push is accepted.
QUARANTINE = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")

_CHUNK = 1 << 16
_WORDS = 2000  # characters of git's own message that we pass on


def clean_environment(environ: Mapping[str, str], quarantine: bool = False) -> dict[str, str]:
    """A copy without any GIT_*; with `quarantine` it still sees the objects of the push that is being received.

    The system's and the user's git configuration stay in force: they are the operator's.
    """
    clean = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
    clean.setdefault("PATH", os.defpath)
    if quarantine:
        clean |= {name: _absolute(environ[name]) for name in QUARANTINE if environ.get(name)}
    return clean


def git_dir_of(environ: Mapping[str, str]) -> str:
    """The absolute path of the repository that git runs a hook for."""
    return os.path.realpath(environ.get("GIT_DIR") or ".")


class Git:
    """One repository. Safe from several threads; every call is one process.

    `environment` comes from `clean_environment`. An explicit --git-dir also means that git does not ask who owns it.
    """

    def __init__(self, git_dir: str | os.PathLike[str], environment: Mapping[str, str]) -> None:
        self.git_dir = os.path.abspath(git_dir)  # noqa: PTH100 - pathlib costs every push its import
        # A pushed refs/replace/* must not change what a commit id means.
        self.environment = {**environment, "GIT_NO_REPLACE_OBJECTS": "1", "GIT_TERMINAL_PROMPT": "0"}
        self._executable = _find(environment)

    def argv(self, *args: str) -> list[str]:
        """The command line of `git <args>` on this repository, for those who read its output as it comes."""
        return [self._executable, f"--git-dir={self.git_dir}", *args]

    def run(self, *args: str, stdin: bytes = b"") -> bytes:
        """The standard output of `git <args>`. Raises EnvironmentFault with git's words if it fails."""
        code, out, err = self.call(*args, stdin=stdin)
        if code:
            raise EnvironmentFault(
                f"git {_verb(args)} failed in {self.git_dir}: {_words(err) or f'exit code {code}'}",
                hint="`git pipeline doctor` looks at the repository, its owner and the disk",
            )
        return out

    def call(
        self, *args: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None, lock: int | None = None
    ) -> tuple[int, bytes, bytes]:
        """Exit code (negative: killed by that signal), standard output and standard error.

        `environment` adds variables. `lock` is a descriptor that git gets too: should we be killed, a lock on it lasts until git
        has ended.
        """
        return _communicate(self.argv(*args), {**self.environment, **(environment or {})}, stdin, lock)


def _absolute(paths: str) -> str:
    """Each path of a list made absolute; one in quotes stays as git wrote it."""
    return os.pathsep.join(
        path if path.startswith('"') else os.path.abspath(path)  # noqa: PTH100
        for path in paths.split(os.pathsep)
        if path
    )


def _find(environment: Mapping[str, str]) -> str:
    return find_program("git", environment, "install git, or mend the PATH")


def find_program(name: str, environment: Mapping[str, str], hint: str) -> str:
    """The path of a program on the PATH. Raises EnvironmentFault with the hint if it is not there."""
    for directory in os.get_exec_path(dict(environment)):
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            return path
    raise EnvironmentFault(f"{name} is not on the PATH ({environment.get('PATH', '')})", hint=hint)


def _verb(args: tuple[str, ...]) -> str:
    return next((arg for arg in args if not arg.startswith("-") and "=" not in arg and "/" not in arg), "")


def _words(err: bytes) -> str:
    return err.decode(errors="replace").strip()[:_WORDS]


def communicate(argv: list[str], environment: Mapping[str, str], stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    """Run another program (argv[0] is its path); what it leaves as `Git.call` returns it. Raises EnvironmentFault."""
    return _communicate(argv, dict(environment), stdin, None)


def _communicate(argv: list[str], environment: dict[str, str], stdin: bytes, lock: int | None) -> tuple[int, bytes, bytes]:
    ends = [os.pipe(), os.pipe(), os.pipe()]
    (in_read, in_write), (out_read, out_write), (err_read, err_write) = ends
    try:
        pid = _spawn(argv, environment, [in_read, out_write, err_write, *([] if lock is None else [lock])])
    except OSError as error:
        _close(in_write, out_read, err_read)
        raise EnvironmentFault(f"cannot run {argv[0]}: {error.strerror}") from error
    finally:
        _close(in_read, out_write, err_write)
    waiting = True
    try:
        out, err = _exchange(in_write, out_read, err_read, stdin)
        status = os.waitpid(pid, 0)[1]
        waiting = False
    finally:
        if waiting:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), out, err


def _spawn(argv: list[str], environment: dict[str, str], descriptors: list[int]) -> int:
    return os.posix_spawn(
        argv[0],
        argv,
        environment,
        file_actions=[(os.POSIX_SPAWN_DUP2, descriptor, place) for place, descriptor in enumerate(descriptors)],
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores them, and a child would inherit that
    )


def _exchange(in_write: int, out_read: int, err_read: int, stdin: bytes) -> tuple[bytes, bytes]:
    """Feed and drain at the same time, so that neither side waits for the other; closes the three descriptors."""
    pieces: dict[int, list[bytes]] = {out_read: [], err_read: []}
    opened = {in_write, out_read, err_read}
    rest = memoryview(stdin)
    os.set_blocking(in_write, False)
    poll = select.poll()
    poll.register(out_read, select.POLLIN)
    poll.register(err_read, select.POLLIN)
    poll.register(in_write, select.POLLOUT)
    try:
        while opened:
            for descriptor, _ in poll.poll():
                if descriptor == in_write:
                    rest = _feed(in_write, rest)
                    ended = not rest
                else:
                    piece = os.read(descriptor, _CHUNK)
                    pieces[descriptor].append(piece)
                    ended = not piece
                if ended:
                    poll.unregister(descriptor)
                    opened.discard(descriptor)
                    os.close(descriptor)
    finally:
        _close(*opened)
    return b"".join(pieces[out_read]), b"".join(pieces[err_read])


def _feed(descriptor: int, rest: memoryview) -> memoryview:
    """Write what fits; nothing is left to write where the reader has gone."""
    if not rest:
        return rest
    try:
        return rest[os.write(descriptor, rest[:_CHUNK]) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        return rest[:0]


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
