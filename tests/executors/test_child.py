"""Processes are started apart from ours, with nothing of ours open, and the other threads go on meanwhile."""

import fcntl
import os
import signal

import pytest

from agent.executors.child import spawn


def ended(argv: list[str], environment: dict[str, str]) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(spawn(argv, environment), 0)[1])


def test_it_gets_its_words_and_its_environment(tmp_path):
    script = f'printf "%s|" "$@" "$GREETING" >{tmp_path}/said; exit 7'
    assert ended(["/bin/sh", "-c", script, "sh", "a b", "ü", "\udcff"], {"GREETING": "good day"}) == 7
    assert (tmp_path / "said").read_bytes() == b"a b|\xc3\xbc|\xff|good day|"


def test_it_is_a_session_of_its_own_with_three_files_and_no_signal_kept_from_it(tmp_path):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
    held = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 200)  # numbers below are those of the shell itself
    script = (
        "cd /proc/$$; echo fd/* >$D/files; grep -E 'Sig(Blk|Ign)' /proc/self/status >$D/signals; cut -d' ' -f1,6 stat >$D/ids"
    )
    try:
        pid = spawn(["/bin/sh", "-c", script], {**os.environ, "D": str(tmp_path)})
        os.waitpid(pid, 0)
    finally:
        os.close(held)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    files = set((tmp_path / "files").read_text().split())
    assert {"fd/0", "fd/1", "fd/2"} <= files
    assert f"fd/{held}" not in files
    blocked, ignored = ((int(line.split()[1], 16)) for line in (tmp_path / "signals").read_text().splitlines())
    assert blocked == 0
    assert not ignored & 1 << signal.SIGPIPE - 1
    assert (tmp_path / "ids").read_text() == f"{pid} {pid}\n"


def test_a_program_that_is_not_there_is_an_error_and_a_word_with_a_nul_too():
    with pytest.raises(FileNotFoundError):
        spawn(["/nonexistent/program"], {})
    with pytest.raises(ValueError, match="null byte"):
        spawn(["/bin/true", "a\0b"], {})
