"""Short calls, as a host's shell runs them."""

import subprocess

import pytest

from agent.actions.release import Commit
from agent.actions.upload import Uploads
from agent.deploy.commands import CUT, Standing, lock, parse_probe, probe, receive, unlock
from tests.support.engine import until
from tests.support.repo import Repo


@pytest.fixture
def call(shell):
    """Start a script in the directory of an application; its standard input and output are pipes."""

    def call(script):
        return subprocess.Popen([*shell, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    return call


def ended(process, data=b""):
    output, _ = process.communicate(data, timeout=30)
    return process.returncode, output.decode()


@pytest.fixture
def base(call, tmp_path):
    base = tmp_path / "it's here"
    assert ended(call(lock(str(base), "d1", "release #1", 60)))[0] == 0
    return base


@pytest.fixture
def upload(tmp_path):
    """The bytes of a release, or of its difference to the one before."""
    repo, made = Repo(tmp_path), []

    def upload(files, former=False):
        for name in repo.git("ls-files").splitlines():
            repo.git("rm", "-q", name)
        repo.commit_and_push(files)
        source = Commit(repo.server, repo.head)
        before = made[-1] if former else ""
        made.append(source.name)
        return source.name, before, b"".join(Uploads(source, tmp_path, 0).get(before).archive.chunks())

    return upload


def contents(directory):
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def left(base):
    return list((base / ".deploy" / "in").iterdir())


FIRST = {"a": "1", "d/b": "2", "d/gone": "3", **{f"e/it's {number}": "gone" for number in range(450)}}
SECOND = {"a": "1", "d/b": "x", "it's": "new"}


def test_a_release_and_the_next_one_beside_it(call, base, upload):
    one, _, data = upload(FIRST)
    assert ended(call(receive(str(base), one)), data) == (0, "")
    two, former, data = upload(SECOND, former=True)
    assert ended(call(receive(str(base), two, former)), data) == (0, "")
    assert contents(base / "releases" / one) == FIRST
    assert contents(base / "releases" / two) == SECOND
    assert not (base / "releases" / two / "e").exists()
    assert not left(base)


@pytest.mark.parametrize("former", [False, True])
def test_an_upload_that_was_cut_off_is_no_release(call, base, upload, former):
    one, _, whole = upload(FIRST)
    ended(call(receive(str(base), one)), whole)
    name, before, data = upload(SECOND, former)
    code, said = ended(call(receive(str(base), name, before)), data[:1024])
    assert (code, said) in {(CUT, "the upload was cut off\n"), (73, "")}  # where tar itself has noticed
    assert not (base / "releases" / name).exists()
    assert not left(base)


@pytest.mark.parametrize("former", [False, True])
def test_who_comes_again_takes_the_place_of_who_was_cut_off(call, base, upload, former):
    one, _, whole = upload(FIRST)
    ended(call(receive(str(base), one)), whole)
    (base / ".deploy" / "in" / "c-of-another.7").mkdir()
    name, before, data = upload(SECOND, former)
    first = call(receive(str(base), name, before))
    first.stdin.write(data)
    first.stdin.flush()
    until((base / ".deploy" / "in" / f"{name}.{first.pid}").is_dir, "the first one has begun")
    assert ended(call(receive(str(base), name, before)), data) == (0, "")
    assert ended(first)[0] != 0
    assert contents(base / "releases" / name) == SECOND
    assert not left(base)


def test_a_lock_and_what_a_host_says(call, base):
    assert ended(call(lock(str(base), "d2", "release #2", 60)))[0] == 75
    (base / "releases" / "c-1").mkdir()
    (base / "current").symlink_to("releases/c-1")
    (base / ".deploy" / "status").write_text("release=c-1\nstatus=succeeded\n")
    (base / ".deploy" / "deployments" / "d1" / "result").write_text("status=succeeded\nevent=sw")
    said = parse_probe(ended(call(probe(str(base), "d1")))[1])
    assert said.lock.split(" ", 2)[::2] == ["d1", "release #1"]
    status = {"release": "c-1", "status": "succeeded"}
    assert said == Standing(current="c-1", releases=("c-1",), status=status, lock=said.lock)
    assert ended(call(unlock(str(base), "d2")))[0] == 0
    assert (base / ".deploy" / "lock").exists()
    assert ended(call(unlock(str(base), "d1")))[0] == 0
    assert not (base / ".deploy" / "lock").exists()
