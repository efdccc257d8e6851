"""A host as the executor sees it: what is asked of it, in how many sessions."""

import pytest

from agent.executors.remote import Remote
from tests.support.farm import Farm, Host, route


@pytest.fixture
def remote(farm: Farm, host: Host):
    made = Remote(route(host, farm.key))
    made.open()  # from now on the supervisor is there
    made.close()
    yield made
    made.close()


def sessions(host: Host) -> int:
    return host.log.count("Starting session")


@pytest.mark.parametrize("script", ["echo one; printf two; echo oops >&2; exit 3", "cd /; one=1; exit 0", "echo"])
def test_the_first_script_on_a_connection_is_answered_as_any_other(remote: Remote, script: str):
    first, second = remote.call(script), remote.call(script)
    assert first == second


def test_the_first_script_on_a_connection_also_asks_what_a_job_needs(remote: Remote, host: Host):
    before = sessions(host)
    remote.call("true")
    assert remote.home.root == "/root/.git-pipeline"
    assert sessions(host) == before + 1


def test_a_host_that_is_not_ready_for_jobs_is_asked_about_them_once(farm: Farm):
    host = farm.host()
    remote = Remote(route(host, farm.key))
    try:
        assert [remote.call("echo x").output for _ in range(2)] == [b"x\n"] * 2
        assert not list((host.root / ".git-pipeline" / "bin").iterdir())
        (host.root / ".git-pipeline" / "bin").rmdir()  # nobody looks again before there is a job
        remote.call("true")
        assert not (host.root / ".git-pipeline" / "bin").exists()
        assert remote.ask("state", "none").output == b"NONE\n"
    finally:
        remote.close()


def test_a_supervisor_that_is_gone_is_put_there_before_a_job(remote: Remote, host: Host):
    for each in (host.root / ".git-pipeline" / "bin").iterdir():
        each.unlink()
    assert remote.call("echo x").output == b"x\n"
    assert remote.ask("state", "none").output == b"NONE\n"


def test_a_home_where_no_job_can_live_matters_to_jobs_only(farm: Farm):
    host = farm.host()
    remote = Remote(route(host, farm.key))
    (host.root / ".git-pipeline").write_text("in the way")
    try:
        assert remote.call("echo x; exit 1") == (1, b"x\n", b"")
    finally:
        remote.close()
