"""Artifacts in a bucket of S3: `<prefix>sha256/ab/<digest>`, content-addressed; what was needed has a copy on this machine."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any

from agent.artifacts.base import Place, Stored
from agent.artifacts.local import LocalStore
from agent.artifacts.opening import Opening
from agent.aws.session import AwsFault, Clients, Identity, Service, Sessions
from agent.errors import EnvironmentFault, RefusedError
from agent.settings import Artifacts, Replica

_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})


class S3Store:
    """An ArtifactStore and a RegionalStore. What is put is in the bucket before `put` returns; large files go in parts.

    Archives that were stored on this machine before the bucket was chosen are still found.
    """

    def __init__(self, root: Path, settings: Artifacts, sessions: Sessions) -> None:
        self._root = root
        self._near = LocalStore(root)
        self._settings = settings
        self._sessions = sessions
        self._main = Replica(bucket=settings.bucket, kms_key=settings.kms_key)

    @classmethod
    def open(cls, opening: Opening) -> "S3Store":
        return cls(opening.root, opening.settings, opening.sessions)

    def put(self, archive: Path, digest: str) -> None:
        self._upload(archive, digest)
        self._near.put(archive, digest)

    def fetch(self, digest: str) -> Path:
        with suppress(EnvironmentFault):  # not here, or damaged: what the bucket has counts
            return self._near.fetch(digest)
        key = self._key(digest)
        with self._fresh() as file:
            self._download(digest, key, file)
            with file.open("rb") as opened:
                found = file_digest(opened, "sha256").hexdigest()
            if found != digest:
                raise EnvironmentFault(
                    f"the artifact {digest} in {self._main.bucket} is damaged: its bytes have the digest {found}",
                    hint="run the action that made it again",
                )
            self._near.put(file, digest)
        return self._near.fetch(digest)

    def has(self, digest: str) -> bool:
        return self._head(self._main.bucket, self._key(digest)) is not None or self._near.has(digest)

    def remove(self, digest: str, *, before: datetime | None = None) -> bool:
        key = self._key(digest)
        found = self._head(self._main.bucket, key)
        if found and before is not None and found["LastModified"] >= before:
            return False
        gone = self._near.remove(digest, before=before)
        if found:
            self._delete(self._main.bucket, key, found, "")
        for region, replica in self._settings.replicas.items():
            if copy := self._head(replica.bucket, key, region):
                self._delete(replica.bucket, key, copy, region)
        return bool(found) or gone

    def stored(self) -> tuple[Stored, ...]:
        prefix = f"{self._settings.prefix}sha256/"
        objects = self._s3("artifacts").pages("list_objects_v2", "Contents", Bucket=self._main.bucket, Prefix=prefix)
        found = {each["Key"].rpartition("/")[2]: each for each in objects}
        return tuple(Stored(name, each["Size"], each["LastModified"]) for name, each in sorted(found.items()))

    def sweep(self, before: datetime) -> tuple[str, ...]:
        """Also uploads that were never finished, which cost money unseen, and copies here of what lies in the bucket."""
        return (*self._near.sweep(before), *self._abort_uploads(before), *self._remove_copies(before))

    def _abort_uploads(self, before: datetime) -> Iterator[str]:
        bucket, s3 = self._main.bucket, self._s3("unfinished uploads")
        for upload in s3.pages("list_multipart_uploads", "Uploads", Bucket=bucket, Prefix=f"{self._settings.prefix}sha256/"):
            if upload["Initiated"] < before:
                s3("abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
                yield f"an unfinished upload of {upload['Key']}"

    def _remove_copies(self, before: datetime) -> Iterator[str]:
        for one in self._near.stored():
            if one.at < before and self._head(self._main.bucket, self._key(one.digest)):
                self._near.remove(one.digest, before=before)
                yield f"the copy of {one.digest}, which is in {self._main.bucket}"

    def place(self, digest: str, region: str = "") -> Place:
        key, own = self._key(digest), self._aws().region
        if region in {"", own}:
            if self._head(self._main.bucket, key) is None:
                self._upload(self._near.fetch(digest), digest)  # stored before the bucket was chosen
            return Place(self._main.bucket, key, own)
        replica = self._settings.replicas.get(region)
        if replica is None:
            raise RefusedError(
                f"artifacts have no bucket in {region}", hint=f"the operator names one under [artifacts.replicas.{region}]"
            )
        if self._head(replica.bucket, key, region) is None:
            self._copy(self.place(digest), replica, region)
        return Place(replica.bucket, key, region)

    def _upload(self, archive: Path, digest: str) -> None:
        extra = {"ChecksumAlgorithm": "SHA256", **_encryption(self._main)}
        with archive.open("rb") as file:
            self._s3(f"artifact {digest}").upload(file, self._main.bucket, self._key(digest), **extra)

    def _copy(self, source: Place, replica: Replica, region: str) -> None:
        about = f"copy of {source.key} to {region}"
        self._s3(about, region).copy(self._s3(about), source.bucket, source.key, replica.bucket, **_encryption(replica))

    def _download(self, digest: str, key: str, file: Path) -> None:
        try:
            self._s3(f"artifact {digest}").download(self._main.bucket, key, file)
        except AwsFault as fault:
            if fault.code not in _ABSENT:
                raise
            raise EnvironmentFault(
                f"the artifact {digest} is not in {self._main.bucket} any more", hint="run the action that made it again"
            ) from fault

    def _head(self, bucket: str, key: str, region: str = "") -> Mapping[str, Any] | None:
        try:
            return self._s3(f"{key} in {bucket}", region)("head_object", Bucket=bucket, Key=key)
        except AwsFault as fault:
            if fault.code in _ABSENT:
                return None
            raise

    def _delete(self, bucket: str, key: str, found: Mapping[str, Any], region: str) -> None:
        """In a bucket with versions only the one that was looked at: a newer one was put by somebody who needs it."""
        version = {"VersionId": found["VersionId"]} if found.get("VersionId") else {}
        self._s3(f"removal of {key}", region)("delete_object", Bucket=bucket, Key=key, **version)

    def _key(self, digest: str) -> str:
        self._near.has(digest)  # a ValueError for what is no digest
        return f"{self._settings.prefix}sha256/{digest[:2]}/{digest}"

    def _s3(self, about: str, region: str = "") -> Service:
        return self._aws(region)("s3", about=f"S3: {about}")

    def _aws(self, region: str = "") -> Clients:
        identity = Identity(self._settings.role, self._settings.external_id)
        return Clients(self._sessions, identity, region or self._settings.region)

    @contextmanager
    def _fresh(self) -> Iterator[Path]:
        """A file beside the copies; gone at the end unless it was moved."""
        incoming = self._root / "incoming"
        try:
            incoming.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=incoming)
        except OSError as error:
            raise EnvironmentFault(f"{incoming}: {error.strerror}", hint="is the disk full?") from error
        os.close(descriptor)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)


def _encryption(where: Replica) -> dict[str, str]:
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": where.kms_key} if where.kms_key else {}
