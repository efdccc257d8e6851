"""`jenkins` against a real web server that behaves as Jenkins' REST interface does."""

import threading

import pytest

from agent.actions import remote
from agent.actions.jenkins import JenkinsAction, JenkinsOptions
from agent.actions.memory import Memory
from agent.config import Config, Secret
from agent.definition.shape import complaints
from agent.errors import DefinitionError, EnvironmentFault, RefusedError
from agent.model.outcome import Reason, Status
from agent.settings import Server
from tests.support.attempts import Bench, using
from tests.support.jenkins import ROOT, Jenkins


@pytest.fixture
def jenkins():
    server = Jenkins()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(remote, "FIRST", 0.02)  # seconds between looks


@pytest.fixture
def bench(tmp_path, jenkins):
    bench = Bench(tmp_path)
    (tmp_path / "token").write_text("hunter22\n")
    (tmp_path / "token").chmod(0o600)
    ci = Server(url=jenkins.url, user="agent", secret="TOKEN")
    bench.config = Config(protected=("main",), servers={"ci": ci}, secrets={"TOKEN": Secret(file="token")})
    return bench


def attempt(options=None, **more):
    return using("jenkins", {"server": "ci", "job": "team/app", "parameters": {"VERSION": "1.2"}, **(options or {})}, **more)


def perform(bench, options=None, **more):
    return JenkinsAction().perform(attempt(options, **more), bench)


def test_a_build_with_its_parameters_its_log_and_its_console(bench, jenkins):
    outcome = perform(bench)
    assert outcome.status is Status.SUCCEEDED, outcome.message
    url = f"{ROOT}/job/team/job/app/1/"
    assert outcome.outputs == {"build": "1", "url": url, "result": "SUCCESS"}
    assert outcome.link == f"{url}console"
    given = {one["name"]: one["value"] for one in jenkins.items[0]["actions"][0]["parameters"]}
    assert given == {"VERSION": "1.2", "PIPELINE_ATTEMPT": attempt().id}
    said = bench.log.data.decode()
    assert said == f"in the queue: In the quiet period\nbuild 1: {url}console\nStarted by agent\ncompiling…\nFinished\n"


def test_a_job_without_parameters(bench, jenkins):
    assert perform(bench, {"job": "plain", "parameters": {}}).succeeded
    assert "POST /job/plain/build" in jenkins.asked


@pytest.mark.parametrize(("ends", "options", "good"), [
    ("FAILURE", {}, False), ("ABORTED", {}, False), ("UNSTABLE", {}, False), ("UNSTABLE", {"unstable": "true"}, True),
])  # fmt: skip
def test_its_result_is_ours(bench, jenkins, ends, options, good):
    jenkins.ends, jenkins.looks, jenkins.waits = ends, 0, 0
    outcome = perform(bench, options)
    assert outcome.succeeded is good
    assert (outcome.message, outcome.outputs["result"]) == (f"team/app #1: {ends}", ends)


def test_what_is_wrong_is_told_before_anything_starts(bench, jenkins, tmp_path):
    with pytest.raises(DefinitionError, match="has no parameter COLOUR"):
        perform(bench, {"parameters": {"COLOUR": "red"}})
    with pytest.raises(EnvironmentFault, match="there is no job other on ci"):
        perform(bench, {"job": "other"})
    with pytest.raises(RefusedError, match="cd is not open to stage test of release"):
        perform(bench, {"server": "cd"})
    with pytest.raises(RefusedError, match="not protected"):
        perform(bench, ref="refs/heads/topic")
    (tmp_path / "token").write_text("expired")
    with pytest.raises(EnvironmentFault, match="answers 401") as told:
        perform(bench)
    assert "[servers.ci]" in told.value.hint
    assert not jenkins.started()


@pytest.mark.parametrize("job", ["", "a//b", "../x", "a/..", "./a"])
def test_no_name_leads_out_of_the_server(job):
    assert complaints(JenkinsOptions, {"server": "ci", "job": job})[1]


def test_waits_where_it_is_told_to(bench, jenkins):
    jenkins.busy.extend([429, 503, 502])
    assert perform(bench).succeeded
    assert jenkins.started() == 1
    assert len(bench.log.notices) == 3


@pytest.mark.parametrize("waits", [0, -1])
def test_the_deadline_and_a_stop_end_it_there_too(bench, jenkins, waits):
    jenkins.looks, jenkins.waits = -1, waits
    outcome = perform(bench, seconds=1)
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.TIMEOUT)
    threading.Timer(0.3, bench.stop.set).start()
    outcome = perform(bench, number=2)
    assert (outcome.status, outcome.reason) == (Status.ABANDONED, Reason.STOPPED)
    if waits:
        assert [item.get("cancelled") for item in jenkins.items] == [True, True]
    else:
        assert [build["result"] for build in jenkins.builds] == ["ABORTED", "ABORTED"]
        assert outcome.link.endswith("/2/console")


def test_one_that_leaves_the_queue_while_it_is_taken_out_is_stopped(bench, jenkins):
    jenkins.looks, jenkins.waits = -1, -1
    does, busy = jenkins._do, [503]

    def do(path, *more):
        if path == "/queue/cancelItem":
            jenkins.waits = 0
            jenkins._move(jenkins.items[0])
        return (busy.pop(), {}, b"") if path.endswith("/stop") and busy else does(path, *more)

    jenkins._do = do
    assert perform(bench, seconds=1).reason is Reason.TIMEOUT
    assert [build["result"] for build in jenkins.builds] == ["ABORTED"]
    assert not busy


class Killed(BaseException):
    """Stands for kill -9: nothing of ours runs after it."""


@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize("at", ["id", "build", "link"])
def test_killed_between_start_and_end_it_goes_on_with_the_same_build(bench, jenkins, monkeypatch, at, forgets):
    put = Memory.put

    def dies(memory, key, value):
        found = put(memory, key, value)
        if key == at:
            raise Killed
        return found

    jenkins.forgets = forgets
    with monkeypatch.context() as patched:
        patched.setattr(Memory, "put", dies)
        with pytest.raises(Killed):
            perform(bench)
    bench.log.data = b""
    outcome = perform(bench)
    assert outcome.succeeded
    assert (outcome.outputs["build"], jenkins.started()) == ("1", 1)
    assert bench.log.data.decode().count("compiling…\nFinished\n") == 1


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("waits", [0, 5])
def test_a_lost_answer_starts_nothing_twice(bench, jenkins, killed, waits):
    jenkins.waits = waits
    jenkins.loses.add("/job/team/job/app/buildWithParameters")
    if not killed:
        assert perform(bench).succeeded
    else:
        bench.log.notice = lambda text: (_ for _ in ()).throw(Killed)
        with pytest.raises(Killed):
            perform(bench)
        del bench.log.notice
        assert perform(bench).succeeded
    assert jenkins.started() == 1


def test_without_a_mark_a_lost_answer_is_told(bench, jenkins):
    jenkins.declared["team/app"] = ["VERSION"]
    jenkins.loses.add("/job/team/job/app/buildWithParameters")
    with pytest.raises(EnvironmentFault, match="nobody can tell whether team/app was started") as told:
        perform(bench)
    assert "PIPELINE_ATTEMPT" in told.value.hint
    assert jenkins.started() == 1
