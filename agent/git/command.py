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
        return Child(self.argv(*args), {**self.environment, **(environment or {})}, stdin, lock).result()

    def start(self, *args: str, stdin: bytes = b"") -> "Child":
        """The same, begun: it runs beside us."""
        return Child(self.argv(*args), self.environment, stdin)


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
    return Child(argv, environment, stdin).result()


class TooLong(EnvironmentFault):
    """A program writes more than whoever asked it wants to hold."""


class Child:
    """A program that runs beside us, from now on: `result` waits for its end. One that is closed before that is killed."""

    def __init__(self, argv: list[str], environment: Mapping[str, str], stdin: bytes = b"", lock: int | None = None) -> None:
        """`argv[0]` is its path, `lock` as in `Git.call`. Raises EnvironmentFault if it cannot be run."""
        ends = [os.pipe(), os.pipe(), os.pipe()]
        (in_read, self._in), (self._out, out_write), (self._err, err_write) = ends
        self._open = {self._in, self._out, self._err}
        descriptors = [in_read, out_write, err_write, *([] if lock is None else [lock])]
        try:
            self._pid = _spawn(argv, dict(environment), descriptors)
        except OSError as error:
            self._close(*self._open)
            raise EnvironmentFault(f"cannot run {argv[0]}: {error.strerror}") from error
        finally:
            for descriptor in (in_read, out_write, err_write):
                os.close(descriptor)
        os.set_blocking(self._in, False)
        self._rest = memoryview(stdin)
        self._feed()

    def result(self, most: int | None = None) -> tuple[int, bytes, bytes]:
        """What it leaves, as `Git.call` returns it; once. Raises TooLong if it writes more than `most` bytes."""
        try:
            out, err = self._exchange(most)
            status = os.waitpid(self._pid, 0)[1]
            self._pid = 0
        finally:
            self.close()
        return os.waitstatus_to_exitcode(status), out, err

    def close(self) -> None:
        """Kill it if nobody has waited for it; again, or after `result`, nothing."""
        self._close(*self._open)
        pid, self._pid = self._pid, 0
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _exchange(self, most: int | None) -> tuple[bytes, bytes]:
        """Feed and drain at the same time, so that neither side waits for the other."""
        pieces: dict[int, list[bytes]] = {self._out: [], self._err: []}
        size = 0
        poll = select.poll()
        for descriptor in self._open:
            poll.register(descriptor, select.POLLOUT if descriptor == self._in else select.POLLIN)
        while self._open:
            for descriptor, _ in poll.poll():
                if descriptor == self._in:
                    self._feed()
                else:
                    piece = os.read(descriptor, _CHUNK)
                    pieces[descriptor].append(piece)
                    size += len(piece)
                    if not piece:
                        self._close(descriptor)
                if descriptor not in self._open:
                    poll.unregister(descriptor)
            if most is not None and size > most:
                raise TooLong(f"a program has written more than {most} bytes")
        return b"".join(pieces[self._out]), b"".join(pieces[self._err])

    def _feed(self) -> None:
        """Write what fits; the end of the input closes it, and so does a reader who has gone."""
        try:
            while self._rest:
                self._rest = self._rest[os.write(self._in, self._rest[:_CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            pass
        self._close(self._in)

    def _close(self, *descriptors: int) -> None:
        for descriptor in descriptors:
            self._open.discard(descriptor)
            os.close(descriptor)


def _spawn(argv: list[str], environment: dict[str, str], descriptors: list[int]) -> int:
    return os.posix_spawn(
        argv[0],
        argv,
        environment,
        file_actions=[(os.POSIX_SPAWN_DUP2, descriptor, place) for place, descriptor in enumerate(descriptors)],
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores them, and a child would inherit that
    )
