"""What every ArtifactStore has to do. A test module of a store inherits from `StoreContract` and gives a fixture `store`.

`damage(store, digest)` and `age(store, digest, at)` are how that module reaches behind the back of its store.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from agent.errors import EnvironmentFault


def archive(directory, content: bytes):
    """A finished archive file and its digest."""
    digest = hashlib.sha256(content).hexdigest()
    file = directory / f"archive-{len(list(directory.iterdir()))}"
    file.write_bytes(content)
    return file, digest


class StoreContract:
    def damage(self, store, digest):
        raise NotImplementedError

    def age(self, store, digest, at):
        raise NotImplementedError

    def test_what_was_put_is_fetched(self, store, tmp_path):
        file, digest = archive(tmp_path, b"content" * 1000)
        store.put(file, digest)
        assert store.has(digest)
        assert store.fetch(digest).read_bytes() == b"content" * 1000

    def test_the_source_may_be_gone_and_putting_twice_is_harmless(self, store, tmp_path):
        for _ in range(2):
            file, digest = archive(tmp_path, b"same")
            store.put(file, digest)
        assert store.fetch(digest).read_bytes() == b"same"
        assert [one.digest for one in store.stored()] == [digest]

    def test_missing_is_told(self, store):
        assert not store.has("0" * 64)
        with pytest.raises(EnvironmentFault, match="0000"):
            store.fetch("0" * 64)

    def test_damage_is_found_and_putting_again_heals(self, store, tmp_path):
        file, digest = archive(tmp_path, b"good")
        store.put(file, digest)
        self.damage(store, digest)
        with pytest.raises(EnvironmentFault, match=digest):
            store.fetch(digest)
        file, _ = archive(tmp_path, b"good")
        store.put(file, digest)
        assert store.fetch(digest).read_bytes() == b"good"

    def test_stored_tells_size_and_time_in_order(self, store, tmp_path):
        before = datetime.now(UTC) - timedelta(seconds=2)
        made = sorted(archive(tmp_path, bytes([n]) * (n + 1))[::-1] for n in range(5))
        for digest, file in made:
            store.put(file, digest)
        assert [one.digest for one in store.stored()] == [digest for digest, _ in made]
        assert sorted(one.size for one in store.stored()) == [1, 2, 3, 4, 5]
        assert all(one.at >= before for one in store.stored())

    def test_remove(self, store, tmp_path):
        file, digest = archive(tmp_path, b"old")
        store.put(file, digest)
        assert store.remove(digest)
        assert not store.has(digest)
        assert not store.remove(digest)
        assert store.stored() == ()

    def test_what_was_put_again_is_not_removed_as_old(self, store, tmp_path):
        now = datetime.now(UTC)
        file, digest = archive(tmp_path, b"again")
        store.put(file, digest)
        self.age(store, digest, now - timedelta(days=40))
        file, _ = archive(tmp_path, b"again")
        store.put(file, digest)
        assert not store.remove(digest, before=now - timedelta(days=1))
        self.age(store, digest, now - timedelta(days=40))
        assert store.remove(digest, before=now - timedelta(days=1))

    def test_a_digest_cannot_lead_elsewhere(self, store):
        for bad in ("../../etc/passwd", "", "A" * 64, "0" * 63):
            with pytest.raises(ValueError, match="digest"):
                store.has(bad)

    def test_many_at_once(self, store, tmp_path):
        files = [archive(tmp_path, b"%d" % (n % 4)) for n in range(40)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda pair: store.put(*pair), files))
            contents = set(pool.map(lambda pair: store.fetch(pair[1]).read_bytes(), files))
        assert contents == {b"0", b"1", b"2", b"3"}
        assert len(store.stored()) == 4
