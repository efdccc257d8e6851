"""The intake by itself: what the refs tell of pushes that no hook confirmed. The rest is in tests/hooks, with real pushes."""

from datetime import UTC, datetime, timedelta

import pytest

from agent.git.tree import definition_trees
from agent.model.push import Options, Push, RefUpdate
from agent.state.database import open_database
from agent.state.marks import Marks
from agent.state.queue import Queue
from agent.worker.intake import PATIENCE, RIVALRY, UNSETTLED, Intake
from tests.support.installed import GOOD
from tests.support.repo import Repo

START = datetime(2026, 1, 1, tzinfo=UTC)
ZERO = "0" * 40


class World:
    """A repository without hooks, its intake, and a clock that stands where it is put."""

    def __init__(self, root):
        self.now = START
        self.repo = Repo(root)
        self.repo.commit_and_push({"a": "1"})
        self.path = root / "state.db"
        self.database = open_database(str(self.path))
        self.intake = Intake(self.repo.server, self.database, lambda: self.now)

    def move(self, ref="refs/heads/main", *, old="", happens=True, process="1", files=None):
        """Record a push of a new commit to a ref, and move the ref if it happens; returns the push."""
        old = old or self.repo.git("rev-parse", "--verify", "-q", ref, at=self.repo.bare)
        new = self.repo.commit(files or {".pipeline/release.yaml": GOOD, "a": str(self.now)})
        self.repo.git("push", "-q", str(self.repo.bare), f"+{new}:refs/keep/{new}")
        push = Push((RefUpdate(old, new, ref, old),), Options(), "alice", self.now.isoformat())
        self.intake.record(push, process, definition_trees(self.repo.server, [new]))
        if happens:
            self.repo.git("update-ref", ref, new, at=self.repo.bare)
        return push

    def wait(self, time=PATIENCE):
        self.now += time

    @property
    def commits(self):
        return [row.commit for row in Queue(self.database).history()[::-1]]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_nothing_is_judged_before_its_time(world):
    push = world.move()
    world.wait(PATIENCE - timedelta(seconds=1))
    assert world.intake.settle().started == ()
    assert world.intake.has_open()
    world.wait(timedelta(seconds=1))
    assert [one.label for one in world.intake.settle().started] == ["release #1"]
    assert world.commits == [push.updates[0].new]
    assert not world.intake.has_open()


def test_what_did_not_happen_is_dropped(world):
    world.move(happens=False)
    world.wait()
    assert world.intake.settle().started == ()
    assert not world.intake.has_open()


def test_a_chain_of_unconfirmed_pushes_is_taken_in_order(world):
    pushes = []
    for _ in range(3):
        pushes.append(world.move())
        world.wait(timedelta(seconds=1))
    world.wait()
    world.intake.settle()
    assert world.commits == [push.updates[0].new for push in pushes]


def test_a_confirmation_after_all_wins_over_a_drop(world):
    push = world.move(happens=False)
    world.wait()
    world.intake.settle()
    world.repo.git("update-ref", push.updates[0].ref, push.updates[0].new, at=world.repo.bare)
    assert [one.label for one in world.intake.take(push, "1").started] == ["release #1"]
    assert [one.label for one in world.intake.take(push, "1").started] == ["release #1"]
    assert len(world.commits) == 1


def test_the_loser_of_two_equal_pushes_starts_nothing(world):
    push = world.move(process="1")
    world.intake.record(push, "2", definition_trees(world.repo.server, [push.updates[0].new]))
    world.intake.take(push, "1")
    world.wait()
    world.intake.settle()
    assert len(world.commits) == 1


def test_the_same_move_much_later_is_another_push(world):
    push = world.move(process="1")
    world.intake.take(push, "1")
    world.wait(2 * RIVALRY)
    again = push._replace(received_at=world.now.isoformat())
    world.intake.record(again, "2", definition_trees(world.repo.server, [push.updates[0].new]))
    world.wait()
    world.intake.settle()
    assert world.commits == [push.updates[0].new] * 2


def test_only_the_refs_that_moved_start_something(world):
    one = world.move("refs/heads/one", old=ZERO)
    two = world.move("refs/heads/two", old=ZERO, happens=False)
    both = one._replace(updates=one.updates + two.updates)
    assert [one.ref for one in world.intake.take(both._replace(updates=both.updates[:1]), "9").started] == ["refs/heads/one"]


def test_the_mark_of_open_pushes_goes_with_the_last_one(world):
    mark = world.path.with_name(UNSETTLED)
    push = world.move(process="1")
    world.move("refs/heads/other", old=ZERO, happens=False, process="2")
    world.intake.take(push, "1")
    assert mark.exists()
    world.wait()
    world.intake.settle()
    assert not mark.exists()


def test_a_push_of_which_nobody_was_told_is_found_by_its_refs(world):
    world.repo.commit_and_push({".pipeline/release.yaml": GOOD}, "no hooks here", "HEAD:refs/heads/main")
    world.repo.git("update-ref", "refs/heads/gone", "refs/heads/main", at=world.repo.bare)
    assert {one.ref for one in world.intake.missed().started} == {"refs/heads/main", "refs/heads/gone"}
    world.repo.git("update-ref", "-d", "refs/heads/gone", at=world.repo.bare)
    assert world.intake.missed().started == ()
    assert set(Marks(world.database).refs()) == {"refs/heads/main"}


def test_a_commit_that_is_gone_starts_nothing(world):
    push = world.move(happens=False)
    world.repo.git("update-ref", "-d", f"refs/keep/{push.updates[0].new}", at=world.repo.bare)
    world.repo.git("gc", "-q", "--prune=now", at=world.repo.bare)
    admission = world.intake.take(push, "1")
    assert admission.started == ()
    assert "not in the repository any more" in admission.lines[0]
    assert not world.intake.has_open()


def test_one_bad_push_keeps_no_other_back(world):
    world.move("refs/heads/broken", old=ZERO, process="1", files={".pipeline/release.yaml": GOOD + "# lost"})
    blob = world.repo.git("rev-parse", "HEAD:.pipeline/release.yaml")
    world.move("refs/heads/sound", old=ZERO, process="2")
    (world.repo.bare / "objects" / blob[:2] / blob[2:]).unlink()
    world.wait()
    admission = world.intake.settle()
    assert [one.ref for one in admission.started] == ["refs/heads/sound"]
    assert "is not taken in" in admission.lines[0]
    assert world.intake.has_open()
