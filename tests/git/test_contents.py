"""Contents of many objects, as a stream."""

import pytest

from agent.errors import EnvironmentFault
from agent.git.contents import contents, mapped
from tests.support.repo import Repo


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path)


def oids(repo, files):
    repo.commit_and_push(files)
    return [repo.git("rev-parse", f"HEAD:{name}") for name in files]


def test_each_object_in_order(repo):
    files = {f"f{number}": f"content {number}\n" * number for number in range(1, 400)}
    asked = oids(repo, files)
    assert [b"".join(parts).decode() for _, parts in contents(repo.server, asked)] == list(files.values())


def test_one_object_twice_and_an_empty_one(repo):
    (one, nothing) = oids(repo, {"a": "x", "b": ""})
    assert [(size, b"".join(parts)) for size, parts in contents(repo.server, [one, nothing, one])] == [
        (1, b"x"),
        (0, b""),
        (1, b"x"),
    ]


def test_a_large_object_comes_in_pieces(repo):
    text = "0123456789abcdef" * 200_000
    (oid,) = oids(repo, {"large": text})
    ((size, parts),) = ((size, list(parts)) for size, parts in contents(repo.server, [oid]))
    assert (size, len(parts) > 1, b"".join(parts).decode() == text) == (3_200_000, True, True)


def test_a_missing_object_is_named(repo):
    with pytest.raises(EnvironmentFault, match=f"object {'1' * 40} is missing"):
        list(contents(repo.server, ["1" * 40]))


def test_one_as_a_whole(repo, tmp_path):
    text = "0123456789abcdef" * 200_000
    large, nothing = oids(repo, {"large": text, "nothing": ""})
    room = tmp_path / "room"
    room.mkdir()
    assert mapped(repo.server, large, room)[:] == text.encode()
    assert mapped(repo.server, nothing, room)[:] == b""
    assert not list(room.iterdir())
    with pytest.raises(EnvironmentFault, match=f"object {'1' * 40} is missing"):
        mapped(repo.server, "1" * 40, room)


def test_who_stops_in_the_middle_leaves_no_process(repo):
    asked = oids(repo, {"large": "x" * 5_000_000, "b": "y"})
    reader = contents(repo.server, asked)
    next(reader)
    reader.close()
