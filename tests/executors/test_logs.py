"""The sink of an attempt's output."""

import random
import resource
import signal
from pathlib import Path

import pytest

from agent.executors.logs import LONGEST_LINE, OURS, LogFile


class Hiding:
    """A masker that holds back what could become the secret."""

    SECRET = b"hunter2"

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> bytes:
        whole = (self._kept + data).replace(self.SECRET, b"***")
        keep = next((n for n in range(len(self.SECRET) - 1, 0, -1) if whole.endswith(self.SECRET[:n])), 0)
        self._kept = whole[len(whole) - keep :]
        return whole[: len(whole) - keep]

    def finish(self) -> bytes:
        kept, self._kept = self._kept, b""
        return kept


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "attempt.log"


def write(path: Path, *chunks: bytes, close: bool = True, **options: object) -> LogFile:
    log = LogFile(path, **options)  # type: ignore[arg-type]
    for chunk in chunks:
        log.write(chunk)
    if close:
        log.close()
    return log


def test_lines_and_bytes_are_counted_and_handed_on(path: Path):
    lines: list[str] = []
    log = write(path, b"one\ntw", b"o\n\nthr", b"ee", on_line=lines.append)
    assert (lines, log.lines, log.bytes) == (["one", "two", "", "three"], 4, 14)
    assert path.read_bytes() == b"one\ntwo\n\nthree"


def test_a_notice_is_for_followers_only(path: Path):
    said: list[str] = []
    with LogFile(path, on_notice=said.append) as log:
        log.notice("pulling")
    assert (said, path.read_bytes()) == (["pulling"], b"")


def test_anything_is_taken(path: Path):
    lines: list[str] = []
    content = bytes(range(256))
    write(path, content, on_line=lines.append)
    assert path.read_bytes() == content
    assert "\ufffd" in lines[-1]


def test_long_lines_are_handed_on_in_pieces(path: Path):
    lines: list[str] = []
    log = write(path, b"x" * 50_000, b"y" * 50_000 + b"\nend\n", on_line=lines.append)
    assert "".join(lines[:-1]) == "x" * 50_000 + "y" * 50_000
    assert max(map(len, lines)) <= LONGEST_LINE
    assert (lines[-1], log.lines) == ("end", 2)


def test_a_secret_never_reaches_file_or_followers_however_it_is_cut(path: Path):
    content = b"a hunter2 b hunthunter2 hunt"
    for cut in range(len(content)):
        lines: list[str] = []
        path.unlink(missing_ok=True)
        write(path, content[:cut], content[cut:], mask=Hiding(), on_line=lines.append)
        assert (path.read_bytes(), lines) == (b"a *** b hunt*** hunt", ["a *** b hunt*** hunt"])


@pytest.mark.parametrize("seed", range(30))
def test_a_replay_after_a_crash_at_any_byte_gives_the_same(path: Path, seed: int):
    """Crash without close, perhaps twice, then a replay cut into other pieces."""
    chance = random.Random(seed)
    content = b"".join(chance.choice([b"hunter2", b"\n", b"word ", bytes([chance.randrange(256)])]) for _ in range(300))
    whole = content.replace(b"hunter2", b"***")
    lines: list[str] = []
    for _ in range(2):
        broken = write(path, content[: chance.randrange(len(content))], close=False, mask=Hiding(), on_line=lines.append)
        broken.close = lambda: None  # type: ignore[method-assign]
        del broken
    cuts = sorted(chance.randrange(len(content)) for _ in range(5))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    log = write(path, *pieces, mask=Hiding(), on_line=lines.append)
    assert path.read_bytes() == whole
    assert (log.bytes, log.lines) == (len(whole), whole.count(b"\n") + (not whole.endswith(b"\n")))
    assert lines == whole.removesuffix(b"\n").decode(errors="replace").split("\n")


def test_the_cap_is_kept_and_what_is_cut_is_said(path: Path):
    log = write(path, b"0123456789\n" * 10, cap=25)
    kept, _, last = path.read_bytes().rpartition(b"\n" + OURS)
    assert kept == (b"0123456789\n" * 10)[:25]
    assert b"85 of 110 bytes" in last
    assert (log.bytes, log.lines) == (110, 10)


@pytest.mark.parametrize("cap", [0, 5, 11, 25, 110])
def test_a_capped_log_can_be_resumed_even_after_its_close(path: Path, cap: int):
    write(path, b"0123456789\n" * 10, cap=cap)
    before = path.read_bytes()
    log = write(path, b"0123456789\n" * 10, cap=cap)
    assert (path.read_bytes(), log.bytes, log.lines) == (before, 110, 10)


def test_a_resume_without_a_replay_keeps_what_there_is(path: Path):
    write(path, b"0123456789\n" * 10, cap=25)
    before = path.read_bytes()
    write(path, cap=25)
    assert path.read_bytes() == before


@pytest.fixture
def full_disk(path: Path):
    """The kernel refuses to let a file of this process grow beyond 1000 bytes (EFBIG), then lets go again."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_said_once_and_counting_goes_on(path: Path, full_disk):
    said: list[str] = []
    lines: list[str] = []
    log = write(path, *[b"0123456789\n"] * 200, close=False, on_notice=said.append, on_line=lines.append)
    full_disk()
    log.close()
    assert (log.bytes, log.lines, len(lines), len(said)) == (2200, 200, 200, 1)
    kept, _, last = path.read_bytes().rpartition(b"\n" + OURS)
    assert kept == (b"0123456789\n" * 200)[:1000]
    assert b"1200 of 2200 bytes" in last


def test_a_disk_that_is_full_for_good(full_disk, tmp_path: Path):
    with Path("/dev/full").open("rb"):
        pass
    log = write(Path("/dev/full"), b"some output\n")
    assert (log.bytes, log.lines, bool(log.fault)) == (12, 1, True)


def test_a_directory_that_is_missing_does_not_stop_the_job(tmp_path: Path):
    log = write(tmp_path / "nowhere" / "log", b"some output\n")
    assert (log.bytes, bool(log.fault)) == (12, True)


def test_a_link_in_place_of_the_log_is_not_followed(path: Path, tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.symlink_to(victim)
    write(path, b"output")
    assert victim.read_text() == "precious"
