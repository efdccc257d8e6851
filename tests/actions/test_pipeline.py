"""`pipeline` on real repositories and their state; the end of what it starts is told by the test."""

import threading

import msgspec
import pytest
from msgspec.structs import replace

from agent.actions import remote
from agent.actions.memory import Memory
from agent.actions.pipeline import PipelineAction, PipelineOptions
from agent.definition.shape import complaints
from agent.model.execution import Execution
from agent.model.outcome import Reason, Status
from tests.support.attempts import using
from tests.support.neighbours import Neighbourhood


@pytest.fixture
def near(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "FIRST", 0.02)  # seconds between looks
    monkeypatch.setattr(remote, "SETTLE", 0.1)  # for what is never over
    found = Neighbourhood(tmp_path)
    yield found
    found.close()


def perform(near, options=None, **more):
    made = using("pipeline", {"pipeline": "site", **(options or {})}, **more)
    return PipelineAction().perform(replace(made, execution=replace(made.execution, commit=near.head)), near.bench)


def when_said(near, text, act):
    """Do something as soon as the log says this."""
    write = near.bench.log.write

    def heard(data):
        write(data)
        if text in data.decode():
            act()

    near.bench.log.write = heard


def test_our_commit_with_variables_and_its_end_is_ours(near):
    when_said(near, "Queued", lambda: near.end(near.ours))
    outcome = perform(near, {"variables": {"target": "live"}})
    assert outcome.status is Status.SUCCEEDED, outcome.message
    (row,) = near.rows(near.ours)
    started = msgspec.json.decode(row.body, type=Execution)
    assert (started.commit, started.ref, started.actor) == (near.head, "refs/heads/main", "release #7")
    assert (started.trigger, started.variables) == ("pipeline", {"target": "live"})
    assert outcome.outputs == {"execution": row.id, "number": "1", "status": "Succeeded"}
    assert near.bench.log.data.decode() == f"started site #1 ({row.id})\nsite #1: Queued\nsite #1: Succeeded\n"


@pytest.mark.parametrize("status", ["Failed", "Superseded"])
def test_another_repository_and_another_end(near, status):
    when_said(near, "Queued", lambda: near.end(near.infra, status))
    outcome = perform(near, {"repository": "infra"})
    assert (outcome.status, outcome.reason, outcome.message) == (Status.FAILED, Reason.EXIT, f"site #1: {status}")
    (row,) = near.rows(near.infra)
    assert (row.commit, row.ref) == (near.infra.head, "refs/heads/main")
    assert '"actor":"release #7 of repo"' in row.body.replace('": "', '":"')
    assert not near.rows(near.ours)


def test_nobody_needs_to_wait(near):
    outcome = perform(near, {"wait": "false"})
    assert (outcome.succeeded, outcome.outputs["status"]) == (True, "Queued")
    assert complaints(PipelineOptions, {"pipeline": "site", "wait": "false", "stop": "true"})[1]


@pytest.mark.parametrize("stops", [False, True])
def test_a_stop_and_the_deadline_end_the_waiting_and_the_rest_if_asked_to(near, stops):
    options = {"stop": "true"} if stops else {}
    assert perform(near, options, seconds=0.3).reason is Reason.TIMEOUT
    threading.Timer(0.1, near.bench.stop.set).start()
    outcome = perform(near, options, number=2)
    assert (outcome.status, outcome.reason) == (Status.ABANDONED, Reason.STOPPED)
    assert len(near.rows(near.ours)) == 2
    wishes = [msgspec.json.decode(body) for body in near.asked(near.ours)]
    assert [(wish["demand"]["number"], wish["demand"]["abandon"]) for wish in wishes] == ([(1, True), (2, True)] if stops else [])
    assert ("goes on without us" in near.bench.log.data.decode()) is not stops


class Killed(BaseException):
    """Stands for kill -9: nothing of ours runs after it."""


@pytest.mark.parametrize(("at", "repository"), [("asked for", ""), ("started", "infra"), ("said", "")])
def test_killed_anywhere_it_starts_nothing_twice(near, monkeypatch, at, repository):
    put, start = Memory.put, type(near.bench.neighbours.of(None, using("pipeline", {}), "", "site")).start

    def dies(memory, key, value):
        found = put(memory, key, value)
        if key == at:
            raise Killed
        return found

    def starts(*words):
        start(*words)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Memory, "put", dies)
        if at == "started":
            patched.setattr("agent.worker.children.Children.start", starts)
        with pytest.raises(Killed):
            perform(near, {"repository": repository})
    when_said(near, "Queued", lambda: near.end(near.infra if repository else near.ours))
    assert perform(near, {"repository": repository}).succeeded
    assert len([*near.rows(near.ours), *near.rows(near.infra)]) == 1
