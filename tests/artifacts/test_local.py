import os
import tempfile
from pathlib import Path

import pytest

from agent.artifacts.local import LocalStore
from agent.errors import EnvironmentFault
from tests.contracts.artifacts import StoreContract, archive


class TestLocalStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path_factory):
        return LocalStore(tmp_path_factory.mktemp("store"))

    def damage(self, store, digest):
        place = next(store._root.glob(f"sha256/*/{digest}"))
        place.chmod(0o600)
        place.write_bytes(place.read_bytes()[:-1])

    def age(self, store, digest, at):
        os.utime(next(store._root.glob(f"sha256/*/{digest}")), (at.timestamp(), at.timestamp()))


def test_the_place_is_told_by_the_digest_and_read_only(tmp_path):
    file, digest = archive(tmp_path, b"x")
    LocalStore(tmp_path / "store").put(file, digest)
    place = tmp_path / "store" / "sha256" / digest[:2] / digest
    assert place.stat().st_mode & 0o777 == 0o444
    assert not file.exists()


def test_an_archive_from_another_file_system_is_copied(tmp_path):
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs two file systems")
    with tempfile.TemporaryDirectory(dir=shm) as other:
        file, digest = archive(Path(other), b"far away")
        store = LocalStore(tmp_path / "store")
        store.put(file, digest)
        assert store.fetch(digest).read_bytes() == b"far away"
        assert not file.exists()
        assert list((tmp_path / "store" / "incoming").iterdir()) == []


def test_a_store_that_cannot_be_made_is_a_fault(tmp_path):
    (tmp_path / "store").write_text("a file")
    file, digest = archive(tmp_path, b"x")
    with pytest.raises(EnvironmentFault, match="cannot be stored"):
        LocalStore(tmp_path / "store").put(file, digest)


def test_damage_after_a_fetch_is_found_by_the_next_one(tmp_path):
    store = LocalStore(tmp_path / "store")
    file, digest = archive(tmp_path, b"good")
    store.put(file, digest)
    place = store.fetch(digest)
    place.chmod(0o600)
    place.write_bytes(b"evil")
    with pytest.raises(EnvironmentFault, match="damaged"):
        store.fetch(digest)
