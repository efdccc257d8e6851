"""appspec.yml as AWS has it: what is read, and every mistake with its line. A wrong file says itself what is wrong."""

from pathlib import Path

import pytest

from agent.deploy.appspec import AppSpecError, Hook, Install, Permission, parse

CASES = Path(__file__).parents[1] / "cases" / "appspec"


@pytest.mark.parametrize("path", sorted((CASES / "wrong").glob("*.yml")), ids=lambda path: path.stem)
def test_a_mistake_is_told_with_its_place(path):
    data = path.read_bytes()
    expected = [line.removeprefix(b"#! ").decode() for line in data.split(b"\n") if line.startswith(b"#! ")]
    with pytest.raises(AppSpecError) as caught:
        parse("appspec.yml", data)
    told = [line for line in caught.value.message.split("\n") if line.startswith("appspec.yml")]
    assert [line.removeprefix("appspec.yml:") for line in told] == expected


@pytest.mark.parametrize("path", sorted((CASES / "samples").glob("*/appspec.yml")), ids=lambda path: path.parent.name)
def test_samples_are_read(path):
    spec = parse("appspec.yml", path.read_bytes())
    assert spec.files or spec.hooks


def test_an_empty_file_is_told():
    with pytest.raises(AppSpecError, match="the file is empty"):
        parse("appspec.yml", b"")


def test_everything_at_once():
    spec = parse("appspec.yml", (CASES / "everything.yml").read_bytes())
    assert spec.files == (
        Install(source="", destination="/srv/site"),
        Install(source="conf/app.conf", destination="/srv/etc"),
    )
    assert spec.exists == "OVERWRITE"
    assert spec.permissions == (
        Permission(
            object="/srv/site",
            pattern="*.sh",
            excepts=("no.sh", "x*.sh"),
            owner="www-data",
            group="www-data",
            mode="0755",
            acls=("u:bob:rw",),
            context={"user": "unconfined_u", "type": "httpd_sys_content_t", "range": "s0"},
            types=("file",),
        ),
    )
    assert dict(spec.hooks) == {
        "AfterInstall": (Hook(location="scripts/a.sh", timeout=300, runas="nobody"), Hook(location="scripts/b.sh", sudo=True)),
        "ApplicationStart": (Hook(location="scripts/start.sh"),),
    }
