"""appspec.yml on real hosts: bundles in the style of AWS's samples run as they are, and the traps of the field."""

import subprocess
from pathlib import Path

import pytest

from agent.model.outcome import Status
from tests.support.deploying import fleet_in
from tests.support.engine import until

SAMPLES = Path(__file__).parents[1] / "cases" / "appspec" / "samples"
HEAD = "version: 0.0\nos: linux\n"


@pytest.fixture
def fleet(tmp_path):
    with fleet_in(tmp_path) as fleet:
        fleet.farm.host()
        yield fleet


def srv(fleet):
    return fleet.app().parent


def trace(fleet):
    return (srv(fleet) / "trace").read_text().split("\n")[:-1]


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.iterdir()))
def test_a_sample_runs_unmodified_and_a_second_time_as_an_upgrade(fleet, name):
    commit = fleet.bundle(SAMPLES / name)
    if name == "retain":
        (srv(fleet) / "etc").mkdir()
        (srv(fleet) / "etc" / "app.conf").write_text("old\n")
    first = fleet.deploy(commit, appspec="appspec.yml")
    assert (first.status, first.message) == (Status.SUCCEEDED, "1/1 hosts"), fleet.text
    second = fleet.deploy(fleet.bundle(SAMPLES / name, VERSION="2"), appspec="appspec.yml")
    assert (second.status, second.message) == (Status.SUCCEEDED, "1/1 hosts"), fleet.text


def test_files_stand_where_they_belong(fleet):
    fleet.deploy(fleet.bundle(SAMPLES / "two-destinations"), appspec="appspec.yml")
    assert (srv(fleet) / "webapps/Config/config.txt").read_text() == "c\n"
    assert (srv(fleet) / "webapps/myApp/b/c d").read_text() == "spaces\n"


def test_permissions_are_set_on_what_was_installed(fleet):
    fleet.deploy(fleet.bundle(SAMPLES / "permissions"), appspec="appspec.yml")
    found = {path.name: (oct(path.stat().st_mode & 0o777), path.owner()) for path in (srv(fleet) / "www").rglob("*.*")}
    assert found == {
        "index.html": ("0o640", "www-data"),
        "page.html": ("0o640", "www-data"),
        "secret.cfg": ("0o644", "root"),
    }


def test_acls_are_set_and_what_a_host_cannot_do_is_said(fleet):
    small = fleet.farm.host(start=False)
    small.has_only_busybox()
    small.start()
    start = f"{HEAD}files: [{{source: app, destination: /srv/www}}]\npermissions:\n  - object: /srv/www\n    pattern: '*.conf'\n"
    files = {"app/a.conf": "x", "app/b.txt": "y"}
    listed = fleet.commit(files | {"appspec.yml": f"{start}    acls: ['u:daemon:rw', 'g:daemon:r']\n"})
    done = fleet.deploy(listed, "CodeDeployDefault.AllAtOnce", appspec="appspec.yml")
    said = "h2: Install: `acls` need setfacl (package acl), which the host does not have"
    assert (done.status, done.message.split("; ")[0]) == (Status.SUCCEEDED, f"1/2 hosts, {said}"), fleet.text
    www = srv(fleet) / "www"
    asked = subprocess.run(["getfacl", "-cp", www / "a.conf", www / "b.txt"], capture_output=True, text=True, check=True)
    assert [line for line in asked.stdout.splitlines() if "daemon" in line] == ["user:daemon:rw-", "group:daemon:r--"]

    labelled = fleet.commit(files | {"appspec.yml": f"{start}    context: {{type: httpd_sys_content_t}}\n"})
    done = fleet.deploy(labelled, appspec="appspec.yml", rollback=False)
    assert "h1: Install: `context` needs SELinux, which is not in use on the host" in done.message


def test_events_come_in_order_and_stop_is_the_former_revisions(fleet):
    files = {"appspec.yml": (SAMPLES / "all-events/appspec.yml").read_text(), "app/main.conf": "x=1\n"}
    events = ("ApplicationStop", "BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService")

    def revision(number):
        hooks = {f"hooks/{e}.sh": f'#!/bin/sh\necho "$LIFECYCLE_EVENT of {number}" | tee -a /srv/trace\n' for e in events}
        return fleet.commit(files | hooks)

    fleet.deploy(revision(1), appspec="appspec.yml")
    fleet.deploy(revision(2), appspec="appspec.yml")
    assert trace(fleet) == [f"{event} of 1" for event in events[1:]] + ["ApplicationStop of 1"] + [
        f"{event} of 2" for event in events[1:]
    ]
    assert "h1 | ApplicationStop | ApplicationStop of 1" in fleet.text


def test_what_a_revision_no_longer_has_goes_and_what_scripts_made_stays(fleet):
    spec = HEAD + "files:\n  - {source: app, destination: /srv/www}\n"
    fleet.deploy(fleet.commit({"appspec.yml": spec, "app/a": "1", "app/old/b": "1"}), appspec="appspec.yml")
    (srv(fleet) / "www/made").write_text("by hand")
    fleet.deploy(fleet.commit({"appspec.yml": spec, "app/a": "2"}), appspec="appspec.yml")
    assert sorted(path.name for path in (srv(fleet) / "www").iterdir()) == ["a", "made"]
    assert (srv(fleet) / "www/a").read_text() == "2"


def test_a_file_that_stood_there_is_not_overwritten_unless_told(fleet):
    spec = HEAD + "files:\n  - {source: app, destination: /srv/www}\n"
    commit = fleet.commit({"appspec.yml": spec, "app/a": "new"})
    (srv(fleet) / "www").mkdir()
    (srv(fleet) / "www/a").write_text("theirs")
    failed = fleet.deploy(commit, appspec="appspec.yml", rollback="false")
    assert "h1: Install: /srv/www/a exists and was not installed by the last deployment" in failed.message
    assert (srv(fleet) / "www/a").read_text() == "theirs"
    assert fleet.deploy(commit, appspec="appspec.yml", file_exists_behavior="OVERWRITE").succeeded
    assert (srv(fleet) / "www/a").read_text() == "new"


def test_a_failing_stop_of_the_old_revision_does_not_block_the_new_one_and_says_so(fleet):
    spec = HEAD + "hooks:\n  ApplicationStop:\n    - location: stop.sh\n"
    fleet.deploy(fleet.commit({"appspec.yml": spec, "stop.sh": "#!/bin/sh\nexit 7\n"}), appspec="appspec.yml")
    new = fleet.commit({"appspec.yml": spec, "stop.sh": "#!/bin/sh\nexit 0\n"})
    strict = fleet.deploy(new, appspec="appspec.yml", ignore_stop_failure="false", rollback="false")
    assert strict.message == "0/1 hosts, h1: ApplicationStop: script stop.sh ended with exit code 7"
    assert fleet.deploy(new, appspec="appspec.yml").succeeded
    assert "ended with exit code 7; this does not block the new revision" in fleet.text


def test_a_hook_that_hangs_is_ended_with_all_it_started_and_the_former_revision_comes_back(fleet):
    def revision(start):
        hook = "hooks:\n  ApplicationStart:\n    - {location: start.sh, timeout: 1}\n"
        return fleet.commit({"appspec.yml": HEAD + hook, "start.sh": f"#!/bin/sh\n{start}\n"})

    assert fleet.deploy(revision("echo well >> /srv/trace"), appspec="appspec.yml").succeeded
    failed = fleet.deploy(revision("sleep 1234 & echo $! > /srv/child; wait"), appspec="appspec.yml")
    assert failed.message == ("0/1 hosts, h1: ApplicationStart: script start.sh did not end within 1 s; rolled back: h1")
    child = Path("/proc") / (srv(fleet) / "child").read_text().strip() / "cmdline"
    until(lambda: not child.exists() or b"1234" not in child.read_bytes(), "the child of the hook is gone")
    assert trace(fleet) == ["well", "well"]


def test_a_script_that_the_revision_lacks_is_told_before_any_host_is_touched(fleet):
    spec = HEAD + "hooks:\n  AfterInstall:\n    - location: gone.sh\n"
    failed = fleet.deploy(fleet.commit({"appspec.yml": spec}), appspec="appspec.yml")
    assert "script gone.sh of AfterInstall is missing" in failed.message
    assert not fleet.app().exists()
