"""What the pusher of an accepted tag learns of the worker's answer."""

import os
from itertools import count

import pytest

from agent.state.requests import Requests
from agent.worker.accepted import GRACE, answered, confirm
from tests.support.steering import Steering

APPROVE = "approve/release/2/sign-off/x"


@pytest.fixture
def repo(tmp_path, keys):
    made = Steering(tmp_path, keys).seeded()
    yield made
    if made.wake >= 0:
        made.close()


def steered(repo, database, *tags):
    updates = [repo.update(tag) for tag in tags]
    found, lines = confirm(database, updates)
    assert lines == ()
    return found


def test_followed_from_the_end_of_its_feed(repo):
    feed = repo.directory / "executions" / repo.stories[1].execution.id / "feed"
    feed.parent.mkdir(parents=True)
    feed.write_text("what was before\n\x04\n")
    repo.sign(APPROVE, repo.commits[1])
    repo.tell(APPROVE)
    with repo.database() as database:
        (one,) = steered(repo, database, APPROVE)
        assert (one.label, one.start, one.execution) == ("release #2", 18, repo.stories[1].execution.id)
        Requests(database).settle(one.request, "done")
        (followed,) = answered(database, (one, one), print, lambda: 0.0, lambda _: None)
    assert (followed.id, followed.start) == (repo.stories[1].execution.id, 18)


def test_a_no_that_came_later_is_told(repo):
    repo.sign(APPROVE, repo.commits[1])
    repo.tell(APPROVE)
    said = []
    with repo.database() as database:
        (one,) = steered(repo, database, APPROVE)

        def refuse(_: float) -> None:  # the worker, while we wait
            Requests(database).settle(one.request, "refused", "bob was faster\nhint: none")

        assert answered(database, (one,), said.append, lambda: 0.0, refuse) == []
    assert said == ["approved: release #2 sign-off; signed by alice, but the state has changed since: bob was faster\nhint: none"]


def test_without_a_worker_nobody_waits_for_ever(repo):
    repo.sign(APPROVE, repo.commits[1])
    repo.tell(APPROVE)
    os.close(repo.wake)
    repo.wake = -1
    said, seconds = [], count()
    with repo.database() as database:
        one = steered(repo, database, APPROVE)
        assert answered(database, one, said.append, lambda: float(next(seconds)), lambda _: None) == []
    assert len(said) == 1
    assert "no worker answers; what was accepted is kept" in said[0]
    assert next(seconds) > GRACE
    assert len(repo.wishes) == 1
