"""`s3`: files into a bucket, one by one or as one zip archive (codepipeline.md 1.6, row 66)."""

import mimetypes
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Annotated, BinaryIO, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from agent.actions import revision
from agent.actions.aws.place import AwsAction, AwsOptions
from agent.actions.remote import Work, succeeded
from agent.artifacts import tree
from agent.artifacts.base import ArtifactError
from agent.aws.session import Clients, Service
from agent.definition.values import Flag, Text, Texts, problem
from agent.model.glob import matches
from agent.model.outcome import Outcome

THREADS = 8
_ACLS = Literal[
    "", "private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read",
    "bucket-owner-full-control",
]  # fmt: skip
_DELETED = 1000  # objects that one call deletes at most


def _of_all(value: object) -> object:
    return {"**": value} if isinstance(value, str) else value


ByGlob = Annotated[dict[Text, Text], BeforeValidator(_of_all)]


class S3Options(AwsOptions):
    """What goes where. Files keep their paths below `prefix`."""

    bucket: Text = Field(description="The bucket.")
    prefix: Text = Field(default="", description="What the keys of the files begin with, such as `site/`.")
    path: Text = Field(default="", description="The directory of the artifacts, or of the commit, to take. Default: all of it.")
    exclude: Texts = Field(default=(), description="Globs of files to leave out.")
    extract: Flag = Field(default=True, description="File by file; `false` makes one zip archive, called `key`.")
    key: Text = Field(default="", description="The key of the archive, with `extract: false`.")
    delete: Flag = Field(default=False, description="Delete what is below `prefix` and not among the files.")
    cache_control: ByGlob = Field(default={}, description="The Cache-Control of all files, or by globs, the first that matches.")
    content_type: ByGlob = Field(default={}, description="The Content-Type by globs. Default: by the ending of the name.")
    acl: _ACLS = Field(default="", description="A canned ACL, such as `public-read`.")
    kms_key: Text = Field(default="", description="The KMS key that encrypts the objects. Default: as the bucket does it.")

    @model_validator(mode="after")
    def _key_of_archive(self) -> Self:
        if self.extract == bool(self.key):
            raise problem("GP105", "`key` is the name of the archive: it belongs to `extract: false`, which needs it")
        if self.delete and not (self.extract and self.prefix):
            raise problem("GP105", "`delete` empties what is below `prefix`, so it needs one, and `extract: true`")
        return self


class S3Action(AwsAction[S3Options]):
    """A Provider. Repeatable as it is: the same files go to the same keys."""

    Options = S3Options
    outputs = ("url", "files", "deleted", "version")

    def act(self, work: Work, options: S3Options, aws: Clients) -> Outcome:
        s3 = aws("s3")
        link = f"https://s3.console.aws.amazon.com/s3/buckets/{options.bucket}?prefix={options.prefix or options.key}"
        if not options.extract:
            return _archive(work, options, s3, link)
        kept = _files(work, options, s3)
        work.check()
        there = work.patiently(lambda: list(_keys(s3, options))) if options.delete else []
        gone = [key for key in there if key not in kept]
        for start in range(0, len(gone), _DELETED):
            batch = {"Objects": [{"Key": key} for key in gone[start : start + _DELETED]], "Quiet": True}
            answer = work.patiently(lambda batch=batch: s3("delete_objects", Bucket=options.bucket, Delete=batch))  # type: ignore[misc]
            if wrong := answer.get("Errors"):
                raise ArtifactError(f"{wrong[0]['Key']} cannot be deleted: {wrong[0].get('Message')}")
        said = f"{len(kept)} files" + (f", {len(gone)} deleted" if options.delete else "")
        url = f"s3://{options.bucket}/{options.prefix}"
        return succeeded(f"{said} in {url}", link, {"url": url, "files": str(len(kept)), "deleted": str(len(gone))})


def _archive(work: Work, options: S3Options, s3: Service, link: str) -> Outcome:
    archive = revision.zipped(revision.directory_of(work, options.path), work.context.control(work.attempt))
    with archive.open("rb") as file:
        work.patiently(lambda: s3.upload(file, options.bucket, options.key, **_headers(options, options.key)))
    head = work.patiently(lambda: s3("head_object", Bucket=options.bucket, Key=options.key))
    url = f"s3://{options.bucket}/{options.key}"
    return succeeded(f"the archive is {url}", link, {"url": url, "files": "1", "version": head.get("VersionId", "")})


def _files(work: Work, options: S3Options, s3: Service) -> set[str]:
    """Upload all, pages last, so that none is there before what it shows. The keys."""
    root = revision.directory_of(work, options.path)
    keys: set[str] = set()
    for pages in (False, True):
        with ThreadPoolExecutor(THREADS) as pool:
            places = BoundedSemaphore(2 * THREADS)  # files that are open at once
            sent = []
            for found in tree.select(root, tree.Selection(["**"], options.exclude)):
                if found.is_file and found.name.endswith((".html", ".htm")) == pages:
                    work.check()
                    keys.add(options.prefix + found.name)
                    places.acquire()
                    sent.append(pool.submit(_upload, work, s3, options, found.name, os.fdopen(found.open(), "rb"), places))
        for done in sent:
            done.result()
    if not keys:
        raise ArtifactError(f"there is no file in {options.path or 'what the action gets'}", hint="is `path` right?")
    work.say(f"{len(keys)} files are in {options.bucket}")
    return keys


def _upload(work: Work, s3: Service, options: S3Options, name: str, file: BinaryIO, places: BoundedSemaphore) -> None:
    try:
        with file:
            key, headers = options.prefix + name, _headers(options, name)
            work.patiently(lambda: s3.upload(file, options.bucket, key, **headers))
    finally:
        places.release()


def _headers(options: S3Options, name: str) -> dict[str, str]:
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    kind = _first(options.content_type, name) or guessed
    headers = {
        "ContentType": f"{kind}; charset=utf-8" if kind.startswith("text/") and ";" not in kind else kind,
        "CacheControl": _first(options.cache_control, name),
        "ACL": options.acl,
        "SSEKMSKeyId": options.kms_key,
        "ServerSideEncryption": "aws:kms" if options.kms_key else "",
    }
    return {header: value for header, value in headers.items() if value}


def _first(by_glob: dict[str, str], name: str) -> str:
    return next((value for pattern, value in by_glob.items() if pattern == "**" or matches(pattern, name)), "")


def _keys(s3: Service, options: S3Options) -> Iterator[str]:
    return (found["Key"] for found in s3.pages("list_objects_v2", "Contents", Bucket=options.bucket, Prefix=options.prefix))
