"""`s3` against moto's server: what the bucket then holds."""

import io
import zipfile
from datetime import timedelta
from itertools import count
from types import SimpleNamespace

import pytest

from agent.actions.aws.s3 import S3Action
from agent.artifacts import pack
from agent.artifacts.base import ArtifactError
from agent.aws.session import AwsFault
from agent.config import Account, Config
from agent.errors import DefinitionError, RefusedError
from agent.model.outcome import Reason, Status
from agent.model.plan import ArtifactOutput
from tests.contracts.providers import ProviderContract
from tests.support.attempts import Bench, using, utc_now
from tests.support.cloud import Cloud

SITE = {"index.html": "<p>", "assets/app.js": "run()", "assets/app.css": "p {}", "README": "x"}


@pytest.fixture
def bench(tmp_path, cloud: Cloud):
    cloud.client("s3").create_bucket(Bucket="www", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return Bench(tmp_path, SITE)


def artifact(bench, tmp_path, files):
    """The records of an artifact `dist`."""
    tree, into = tmp_path / "made", tmp_path / "into"
    into.mkdir()
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    collected = pack.collect(tree, ArtifactOutput(name="dist", files=("**",)), into)
    bench.artifacts.put(collected.archive, collected.record.digest)
    return {"dist": collected.record}


def keys(cloud, bucket="www"):
    return {found["Key"] for found in cloud.client("s3").list_objects_v2(Bucket=bucket).get("Contents", ())}


def perform(bench, options, **more):
    return S3Action().perform(using("s3", options, **more), bench)


def test_the_commit(bench, cloud):
    outcome = perform(bench, {"bucket": "www", "prefix": "site/", "exclude": "README"})
    assert outcome.status is Status.SUCCEEDED
    assert outcome.outputs == {"url": "s3://www/site/", "files": "3", "deleted": "0"}
    assert keys(cloud) == {"site/index.html", "site/assets/app.js", "site/assets/app.css"}
    assert "console.aws.amazon.com" in outcome.link


def test_an_artifact_alone(bench, cloud, tmp_path):
    inputs = artifact(bench, tmp_path, {"out/a.txt": "a", "b.txt": "b"})
    assert perform(bench, {"bucket": "www", "path": "out"}, inputs=inputs).succeeded
    assert keys(cloud) == {"a.txt"}


def test_headers(bench, cloud):
    options = {
        "bucket": "www",
        "cache_control": {"assets/**": "max-age=9", "**": "no-cache"},
        "content_type": {"README": "text/plain"},
        "acl": "public-read",
        "kms_key": "alias/site",
    }
    assert perform(bench, options).succeeded
    s3 = cloud.client("s3")
    page, script, readme = (s3.head_object(Bucket="www", Key=key) for key in ("index.html", "assets/app.js", "README"))
    assert (page["ContentType"], page["CacheControl"]) == ("text/html; charset=utf-8", "no-cache")
    assert script["CacheControl"] == "max-age=9"
    assert readme["ContentType"] == "text/plain; charset=utf-8"
    assert readme["ServerSideEncryption"] == "aws:kms"
    assert "AllUsers" in str(s3.get_object_acl(Bucket="www", Key="README")["Grants"])


def test_what_is_not_there_any_more_is_deleted_below_the_prefix_only(bench, cloud):
    s3 = cloud.client("s3")
    for key in ("site/old.html", "other/old.html"):
        s3.put_object(Bucket="www", Key=key, Body=b"")
    outcome = perform(bench, {"bucket": "www", "prefix": "site/", "path": "assets", "delete": "true"})
    assert outcome.outputs["deleted"] == "1"
    assert keys(cloud) == {"site/app.js", "site/app.css", "other/old.html"}


def test_an_archive(bench, cloud):
    cloud.client("s3").put_bucket_versioning(Bucket="www", VersioningConfiguration={"Status": "Enabled"})
    outcome = perform(bench, {"bucket": "www", "extract": "false", "key": "app.zip"})
    body = cloud.client("s3").get_object(Bucket="www", Key="app.zip", VersionId=outcome.outputs["version"])["Body"].read()
    assert sorted(zipfile.ZipFile(io.BytesIO(body)).namelist()) == sorted(SITE)
    again = perform(bench, {"bucket": "www", "extract": "false", "key": "app.zip"}, number=2)
    assert cloud.client("s3").get_object(Bucket="www", Key="app.zip")["Body"].read() == body
    assert again.outputs["version"] != outcome.outputs["version"]


def test_a_link_of_the_commit_is_not_followed(bench, cloud, tmp_path):
    given = using("s3", {"bucket": "www"})
    (bench.workspace(given) / "passwd").symlink_to("/etc/passwd")
    assert S3Action().perform(given, bench).succeeded
    assert "passwd" not in keys(cloud)


def test_a_path_that_is_not_there(bench):
    for path in ("nowhere", "../.."):
        with pytest.raises(ArtifactError, match="no directory"):
            perform(bench, {"bucket": "www", "path": path})


def test_no_bucket(bench):
    with pytest.raises(AwsFault, match="bucket does not exist"):
        perform(bench, {"bucket": "nothing"})


def test_options_are_judged_again_when_they_are_looked_up(bench):
    with pytest.raises(DefinitionError, match=r"delete: expected true or false, found 'perhaps'.*unknown key 'bukcet'"):
        perform(bench, {"bucket": "www", "delete": "perhaps", "bukcet": "x"})
    with pytest.raises(DefinitionError, match="needs one"):
        perform(bench, {"bucket": "www", "delete": "true"})


class TestContract(ProviderContract):
    """The same files go to the same keys, however often."""

    uses, provider, options = "s3", S3Action, {"bucket": "www", "prefix": "site/", "path": "assets", "delete": "true"}
    done, good_for = ["site/app.css", "site/app.js"], 1

    def after(self, times):
        return self.done if times else []

    @pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.STOPPED])
    def test_its_time_is_over_or_it_is_stopped(self, bench, cloud, reason):
        """Between two files."""
        looks = count()
        is_due = lambda: next(looks) > 0  # noqa: E731
        bench.stop = SimpleNamespace(is_set=lambda: reason is Reason.STOPPED and is_due())
        bench.now = lambda: utc_now() + timedelta(days=reason is Reason.TIMEOUT and is_due())
        outcome = self.perform(bench)
        assert outcome.reason is reason, outcome.message
        assert self.held(cloud) == ["site/app.css"]

    def held(self, cloud):
        return sorted(keys(cloud))


def test_in_order_the_first_failure_ends_it(bench, cloud):
    bench.config = Config(protected=("main",), accounts={"one": Account(), "two": Account(regions=("eu-west-1",))})
    outcome = perform(bench, {"account": ["one", "two"], "bucket": "nothing"})
    assert outcome.reason is Reason.ENGINE
    assert outcome.message.startswith("one: ")
    assert "two" not in outcome.message


def test_accounts_are_the_operators(bench):
    with pytest.raises(RefusedError, match="account prod is not open") as caught:
        perform(bench, {"bucket": "www", "account": "prod"})
    assert "[accounts.prod]" in caught.value.hint
    with pytest.raises(RefusedError, match="not protected"):
        perform(bench, {"bucket": "www"}, ref="refs/heads/feature")
    bench.config = Config(protected=("main",), accounts={"default": Account(regions=("eu-*",))})
    with pytest.raises(RefusedError, match="us-east-1"):
        perform(bench, {"bucket": "www", "region": "us-east-1"})
    bench.config = Config(protected=("main",), accounts={"default": Account(stages=("production",))})
    with pytest.raises(RefusedError, match="stage test"):
        perform(bench, {"bucket": "www"})
