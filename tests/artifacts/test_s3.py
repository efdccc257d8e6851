"""The store in S3, on moto's server: the contract, and what only a bucket has."""

from datetime import UTC, datetime, timedelta

import pytest

from agent.artifacts.base import RegionalStore
from agent.artifacts.local import LocalStore
from agent.artifacts.opening import Opening, open_store
from agent.artifacts.s3 import S3Store
from agent.aws.session import Sessions
from agent.config import parse
from agent.errors import ConfigError, EnvironmentFault, RefusedError
from agent.settings import Artifacts, Replica
from tests.contracts.artifacts import StoreContract, archive

BUCKET, FAR = "acme-artifacts", "acme-artifacts-us"
SETTINGS = Artifacts(store="s3", bucket=BUCKET, prefix="site/", replicas={"us-east-1": Replica(bucket=FAR)})


@pytest.fixture
def bucket(cloud):
    client = cloud.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    cloud.client("s3", "us-east-1").create_bucket(Bucket=FAR)
    return client


@pytest.fixture
def opened(bucket, tmp_path_factory):
    def make(root=None, **changes):
        settings = SETTINGS.model_copy(update=changes)
        return open_store(Opening(root or tmp_path_factory.mktemp("store"), settings, Sessions()))

    return make


def key(digest):
    return f"site/sha256/{digest[:2]}/{digest}"


class TestS3Store(StoreContract):
    @pytest.fixture
    def store(self, opened, bucket):
        self.s3 = bucket
        return opened()

    def damage(self, store, digest):
        LocalStore(store._root).remove(digest)
        body = self.s3.get_object(Bucket=BUCKET, Key=key(digest))["Body"].read()
        self.s3.put_object(Bucket=BUCKET, Key=key(digest), Body=body[:-1])

    def age(self, store, digest, at):
        LocalStore(store._root).remove(digest)
        age(digest, at)


def age(digest, at):
    from moto.s3.models import s3_backends

    s3_backends["123456789012"]["aws"].buckets[BUCKET].keys[key(digest)].last_modified = at.replace(tzinfo=None)


def test_another_machine_finds_it(opened, tmp_path):
    file, digest = archive(tmp_path, b"made here")
    opened().put(file, digest)
    elsewhere = opened()
    assert elsewhere.has(digest)
    assert elsewhere.fetch(digest).read_bytes() == b"made here"
    assert list((elsewhere._root / "incoming").iterdir()) == []


def test_a_large_one_goes_in_parts(opened, bucket, tmp_path):
    content = b"0123456789abcdef" * 1024 * 1024 * 2  # 32 MB
    file, digest = archive(tmp_path, content)
    opened().put(file, digest)
    assert bucket.head_object(Bucket=BUCKET, Key=key(digest))["ETag"].strip('"').endswith("-4")
    assert opened().fetch(digest).stat().st_size == len(content)


def test_it_is_encrypted_with_the_key_of_the_operator(opened, bucket, tmp_path, cloud):
    name = cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    file, digest = archive(tmp_path, b"secret")
    opened(kms_key=name).put(file, digest)
    head = bucket.head_object(Bucket=BUCKET, Key=key(digest))
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", name)


def test_what_this_machine_had_before_is_found_and_brought_there(opened, bucket, tmp_path):
    root = tmp_path / "store"
    root.mkdir()
    file, digest = archive(tmp_path, b"from before")
    LocalStore(root).put(file, digest)
    store = opened(root)
    assert store.has(digest)
    assert store.fetch(digest).read_bytes() == b"from before"
    place = store.place(digest)
    assert bucket.get_object(Bucket=place.bucket, Key=place.key)["Body"].read() == b"from before"


def test_a_damaged_copy_here_is_no_harm(opened, tmp_path):
    store = opened()
    file, digest = archive(tmp_path, b"good")
    store.put(file, digest)
    copy = store.fetch(digest)
    copy.chmod(0o600)
    copy.write_bytes(b"bad")
    assert store.fetch(digest).read_bytes() == b"good"


def test_an_action_in_another_region_finds_it_in_a_bucket_there(opened, tmp_path, cloud):
    store = opened()
    assert isinstance(store, RegionalStore)
    file, digest = archive(tmp_path, b"for the world")
    store.put(file, digest)
    assert store.place(digest) == (BUCKET, key(digest), "eu-west-1")
    assert store.place(digest, "us-east-1") == (FAR, key(digest), "us-east-1")
    found = cloud.client("s3", "us-east-1").get_object(Bucket=FAR, Key=key(digest))
    assert found["Body"].read() == b"for the world"
    with pytest.raises(RefusedError, match="eu-north-1") as caught:
        store.place(digest, "eu-north-1")
    assert "artifacts.replicas.eu-north-1" in caught.value.hint
    assert store.remove(digest)
    assert "Contents" not in cloud.client("s3", "us-east-1").list_objects_v2(Bucket=FAR)


def test_a_missing_one_has_no_place(opened):
    with pytest.raises(EnvironmentFault, match="0000"):
        opened().place("0" * 64)


def test_in_a_bucket_with_versions_only_the_old_one_goes(opened, bucket, tmp_path, monkeypatch):
    bucket.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    store = opened()
    file, digest = archive(tmp_path, b"again")
    store.put(file, digest)
    found = store._head(BUCKET, key(digest))
    file, _ = archive(tmp_path, b"again")
    store.put(file, digest)  # between the look and the removal
    store._delete(BUCKET, key(digest), found, "")
    assert opened().fetch(digest).read_bytes() == b"again"


def test_sweep_takes_unfinished_uploads_and_spare_copies(opened, bucket, tmp_path):
    store = opened()
    file, digest = archive(tmp_path, b"kept")
    store.put(file, digest)
    bucket.create_multipart_upload(Bucket=BUCKET, Key=key("a" * 64))
    assert store.sweep(datetime(2009, 1, 1, tzinfo=UTC)) == ()
    assert len(store.sweep(datetime.now(UTC) - timedelta(days=1))) == 1  # moto says of all uploads that they are of 2010
    assert "Uploads" not in bucket.list_multipart_uploads(Bucket=BUCKET)
    assert len(store.sweep(datetime.now(UTC) + timedelta(days=1))) == 1
    assert not LocalStore(store._root).has(digest)
    assert store.fetch(digest).read_bytes() == b"kept"


def test_a_copy_that_is_the_only_one_stays(opened, tmp_path):
    root = tmp_path / "store"
    root.mkdir()
    file, digest = archive(tmp_path, b"only here")
    LocalStore(root).put(file, digest)
    opened(root).sweep(datetime.now(UTC) + timedelta(days=1))
    assert LocalStore(root).has(digest)


def test_without_credentials_it_is_said(opened, tmp_path, monkeypatch):
    store = opened()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    file, digest = archive(tmp_path, b"x")
    with pytest.raises(EnvironmentFault, match=digest) as caught:
        store.put(file, digest)
    assert caught.value.hint
    assert file.exists(), "it can be tried again"


def test_a_bucket_that_is_not_there(opened, tmp_path):
    file, digest = archive(tmp_path, b"x")
    with pytest.raises(EnvironmentFault, match="bucket"):
        opened(bucket="nowhere-at-all").put(file, digest)


def test_it_is_chosen_by_the_configuration(tmp_path):
    def chosen(text):
        return open_store(Opening(tmp_path, parse({"c": text}).artifacts, Sessions()))

    assert isinstance(chosen(b'[artifacts]\nstore = "s3"\nbucket = "b"\n'), S3Store)
    assert isinstance(chosen(b""), LocalStore)
    with pytest.raises(ConfigError, match="bucket"):
        chosen(b'[artifacts]\nstore = "s3"\n')
    with pytest.raises(RefusedError, match="gcs"):
        chosen(b'[artifacts]\nstore = "gcs"\n')
