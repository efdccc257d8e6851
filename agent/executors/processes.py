"""Finding and signalling the processes of a job by its session and by its mark in their environment, even those that escaped."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

MARK = "PIPELINE_JOB"  # in the environment of all that a job starts
OWNER = "PIPELINE_OWNER"  # repository identity and execution, for the sweep
BOOT = Path("/proc/sys/kernel/random/boot_id")


class Identity(NamedTuple):
    """A process, told apart from a later one with the same number."""

    pid: int
    started: str  # clock ticks since boot, and the boot

    @property
    def is_alive(self) -> bool:
        """Neither gone nor a zombie."""
        found = stat(self.pid)
        return bool(found) and found[2] not in {"Z", "X"} and self.started == f"{found[21]} {boot()}"


def boot() -> str:
    """The identity of this boot of the machine."""
    return BOOT.read_text().strip()


def stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat, the command replaced by a dash; empty if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    return parsed(text)


def parsed(text: str) -> list[str]:
    """Fields of a line of /proc/<pid>/stat. The command may hold anything, so it is taken out first."""
    before, _, after = text.rpartition(")")
    return [before.split(" ")[0], "-", *after.split()] if before else []


def environment(pid: int) -> dict[str, str]:
    """The environment it was started with; empty if it is gone or not ours to see."""
    try:
        file = os.open(f"/proc/{pid}/environ", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return {}
    try:
        content = b""
        while more := os.read(file, 1 << 16):
            content += more
    except OSError:
        return {}
    finally:
        os.close(file)
    pairs = (entry.partition(b"=") for entry in content.split(b"\0"))
    return {name.decode(errors="replace"): value.decode(errors="replace") for name, _, value in pairs}


def everyone(above: int = 0) -> Iterator[int]:
    """All process numbers above this one."""
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit() and int(entry) > above)  # noqa: PTH208 - hot


def marked(job_id: str, above: int = 0) -> list[int]:
    """Processes that carry the mark of this job, wherever they are by now. `above`: look only at greater numbers."""
    wanted = f"{MARK}={job_id}".encode()
    return [pid for pid in everyone(above) if pid != os.getpid() and _carries(pid, wanted)]


def _carries(pid: int, wanted: bytes) -> bool:
    try:
        file = os.open(f"/proc/{pid}/environ", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        content = os.read(file, 1 << 18)
    except OSError:
        return False
    finally:
        os.close(file)
    return wanted in content and wanted in content.split(b"\0")


def members(session: int) -> list[int]:
    """Processes of this session that still run."""
    found = ((pid, stat(pid)) for pid in everyone())
    return [pid for pid, fields in found if fields and fields[5] == str(session) and fields[2] not in {"Z", "X"}]


def send(pids: list[int], which: signal.Signals) -> None:
    """Signal these; who is gone is gone."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, which)


def send_group(group: int, which: signal.Signals) -> bool:
    """Signal a process group; False if it has no members."""
    try:
        os.killpg(group, which)
    except (ProcessLookupError, PermissionError):
        return False
    return True
