import hashlib
import os
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from click.testing import CliRunner

from agent.artifacts import cache
from agent.artifacts.cache import CacheStore, Wanted
from agent.artifacts.local import LocalStore
from agent.cli import gc
from agent.errors import UsageError
from agent.execution.events import ActionEnded, ExecutionEnded, StageEnded
from agent.model.outcome import ArtifactRecord, Outcome, Status
from agent.state.database import open_database
from agent.state.journal import Journal
from agent.state.queue import Queue

NOW = datetime.now(UTC)


def ago(days):
    return NOW - timedelta(days=days)


class Server:
    """The directory of a repository on the server, filled with executions."""

    def __init__(self, repository):
        self.repository = repository
        self.directory = repository / "pipeline"
        self.directory.mkdir(parents=True)
        (repository / "objects").mkdir()
        self.database = open_database(str(self.directory / "state.db"))
        self.queue = Queue(self.database)
        self.journal = Journal(self.database)
        self.store = LocalStore(self.directory / "artifacts")

    def artifact(self, content, days):
        digest = hashlib.sha256(content).hexdigest()
        file = self.repository / "archive"
        file.write_bytes(content)
        self.store.put(file, digest)
        os.utime(self.directory / "artifacts/sha256" / digest[:2] / digest, (ago(days).timestamp(),) * 2)
        return digest

    def execution(self, name, days, *, succeeded=(), ended=True, published=True, rollback=None):
        """An execution with one artifact, whose content is its name."""
        digest = self.artifact(name.encode(), days)
        at = ago(days)
        fields = {"id": name, "pipeline": "release", "commit": "1" * 40, "ref": "refs/heads/main", "trigger": "push"}
        self.queue.enqueue(fields | {"created_at": at.isoformat()} | ({"rollback": rollback} if rollback else {}))
        record = ArtifactRecord(name="dist", digest=digest, size=1, files=1)
        outcome = Outcome(status=Status.SUCCEEDED, artifacts=(record,))
        events = [ActionEnded(at=at, stage="build", action="make", attempt=1, outcome=outcome)]
        events += [StageEnded(at=at, stage=stage, status=Status.SUCCEEDED) for stage in succeeded]
        events += [ExecutionEnded(at=at, status=Status.FAILED)] if ended else []
        length = self.journal.append(name, 0, at.isoformat(), [msgspec.json.encode(event) for event in events])
        if ended:
            self.queue.set_status(name, "Failed", ended_at=at.isoformat())
        if published:
            self.queue.mark_published(name, length)
        place = self.directory / "executions" / name / "logs"
        place.mkdir(parents=True)
        (place / "a.log").write_text("x" * 1000)
        return digest

    def gc(self, *arguments):
        result = CliRunner().invoke(gc.command, [*arguments, str(self.repository)], catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    @property
    def executions(self):
        return {row.id for row in self.queue.history()}

    @property
    def logs(self):
        return {place.name for place in (self.directory / "executions").iterdir()}

    @property
    def digests(self):
        return {one.digest for one in self.store.stored()}


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path / "repo.git")
    yield made
    made.database.close()


def test_old_executions_and_artifacts_go_and_are_told(server):
    digests = {days: server.execution(f"e{days}", days) for days in (100, 40, 5)}
    told = server.gc()
    assert "removed 1 executions, 1.0 kB\n  release #1\n" in told
    assert "removed 2 artifacts, 7 B" in told
    assert digests[40] in told
    assert (server.executions, server.logs, server.digests) == ({"e40", "e5"}, {"e40", "e5"}, {digests[5]})
    assert server.journal.length("e100") == 0
    assert server.gc() == "nothing to remove\n"


def test_a_dry_run_says_the_same_and_does_nothing(server):
    for days in (100, 40):
        server.execution(f"e{days}", days)
    before = (server.executions, server.logs, server.digests)
    told = server.gc("--dry-run")
    assert (server.executions, server.logs, server.digests) == before
    assert server.gc() == told.replace("would remove", "removed")


def test_what_is_still_needed_stays_however_old(server):
    server.execution("e1", 300, succeeded=("build", "production"))
    server.execution("e2", 200, succeeded=("build",))
    server.execution("e3", 190, succeeded=("build",))
    server.execution("e4", 180, ended=False)
    server.execution("e5", 170)
    server.execution("e6", 160, published=False)
    target = {"stage": "production", "target": "e5", "target_number": 5}
    server.execution("e7", 150, succeeded=("production",), rollback=target)
    server.execution("e8", 140)
    server.gc()
    assert server.executions == {"e1", "e2", "e3", "e4", "e5", "e6", "e7"}
    assert len(server.digests) == 6  # those of e6 went: nobody can ask for them any more, only its record is not out yet


def test_the_operator_decides(server):
    (server.directory / "config.toml").write_text('[retention]\nartifacts = "P1D"\nexecutions = "P2D"\n')
    server.execution("e3", 3)
    server.execution("e1", 1.5)
    server.gc()
    assert (server.executions, server.digests) == ({"e1"}, set())


def test_directories_that_belong_to_nobody_go(server):
    for name, days in (("lost", 3), ("new", 0)):
        place = server.directory / "executions" / name
        place.mkdir(parents=True)
        os.utime(place, (ago(days).timestamp(),) * 2)
    assert "lost, which nobody knows" in server.gc()
    assert server.logs == {"new"}


def test_caches(server, tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    (made / "file").write_text("x")
    for name, days in (("old", 20), ("young", 2)):
        store = CacheStore(server.directory / "cache", lambda days=days: ago(days))
        claim = store.claim(name, Wanted(name, "key", True, ()), cache.scope("main", protected=True), ago(days))
        assert store.save(claim, [made])
    assert "removed 1 caches, 1 B\n  cache/protected/old/key." in server.gc()
    assert [place.name for place in (server.directory / "cache/protected").glob("*/*")] != []
    assert not list((server.directory / "cache/protected/old").iterdir())


def test_a_repository_without_the_agent(tmp_path):
    (tmp_path / "objects").mkdir()
    with pytest.raises(UsageError, match="is not installed in"):
        CliRunner().invoke(gc.command, [str(tmp_path)], catch_exceptions=False)


def test_artifacts_in_a_bucket_are_kept_by_the_same_rules(server, cloud, tmp_path):
    from moto.s3.models import s3_backends

    from agent.artifacts.s3 import S3Store
    from agent.aws.session import Sessions
    from agent.settings import Artifacts

    client = cloud.client("s3")
    client.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    (server.directory / "config.toml").write_text('[artifacts]\nstore = "s3"\nbucket = "kept"\n')
    digests = {days: server.execution(f"e{days}", days) for days in (100, 5)}
    store = S3Store(tmp_path / "near", Artifacts(store="s3", bucket="kept"), Sessions())
    (tmp_path / "near").mkdir()
    for days, digest in digests.items():
        file = tmp_path / "archive"
        file.write_bytes(f"e{days}".encode())
        store.put(file, digest)
        key = f"sha256/{digest[:2]}/{digest}"
        s3_backends["123456789012"]["aws"].buckets["kept"].keys[key].last_modified = ago(days).replace(tzinfo=None)
    client.create_multipart_upload(Bucket="kept", Key="sha256/aa/" + "a" * 64)
    told = server.gc()
    assert "removed 1 artifacts" in told
    assert "an unfinished upload of sha256/aa/" in told
    assert [one.digest for one in store.stored()] == [digests[5]]
    assert server.digests == set(), "copies here that the bucket has, too"
