"""Deliveries with a clock of the test's: order, back-off, giving up, and what a failure may not touch."""

import io
import threading
import time
from datetime import timedelta

import msgspec
import pytest

from agent.config import parse
from agent.log import Log
from agent.notify.base import NotDelivered, targets
from agent.notify.dummy import DummyNotifier
from agent.state.database import open_database
from agent.state.outbox import Outbox
from agent.worker.delivery import GIVE_UP, LONGEST, Deliveries
from agent.worker.pool import Pool
from tests.support.notices import RELEASE, fails, one
from tests.support.stories import NOON, Story

RULES = """
[[notify]]
events = ["execution.*"]
webhook = "https://one.example.com"
[[notify]]
events = ["*"]
webhook = "https://two.example.com"
"""
ONE, TWO = "webhook https://one.example.com", "webhook https://two.example.com"


class Wires:
    """Stands in for `Messengers`: dummies for the targets of a configuration."""

    def __init__(self, text):
        self.targets = targets(parse({"config.toml": text.encode()}))
        self.dummies = {target.key: DummyNotifier() for target in self.targets}

    def of(self, key):
        if key not in self.dummies:
            raise NotDelivered("not named", refused=True)
        return self.dummies[key]


class Bench:
    def __init__(self, tmp_path):
        self.now = NOON
        self.database = open_database(str(tmp_path / "state.db"))
        self.outbox = Outbox(self.database)
        self.wires = Wires(RULES)
        self.text = io.StringIO()
        self.log = Log(self.text, lambda: self.now)
        self.rung = 0
        self.pool = Pool(2, lambda error: self.log.bug("pool", error))
        self.deliveries = Deliveries(self.outbox, self.wires, self.pool, self.ring, self.log, lambda: self.now)

    def ring(self):
        self.rung += 1

    def queue(self, story):
        told, state = [], type(story.state)()
        from agent.execution.fold import evolve

        for event in story.events:
            state = evolve(state, event)
            told.append((event, state))
        queue = self.deliveries.prepare(story.execution, story.plan, tuple(told))
        with self.database.transaction():
            if queue:
                queue()

    def look(self):
        self.deliveries.look()
        deadline = time.monotonic() + 30
        while not self.pool.is_quiet:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def taken(self, key):
        return [notice.event for notice in self.wires.dummies[key].taken]


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.database.close()


def test_each_target_hears_what_it_wants_in_order(bench):
    bench.queue(fails())
    bench.now = fails().now
    bench.look()
    assert bench.taken(ONE) == ["execution.started", "execution.failed"]
    assert bench.taken(TWO)[-3:] == ["action.failed", "stage.failed", "execution.failed"]
    assert bench.outbox.heads() == ()
    assert bench.deliveries.next_look() is None


def test_a_failure_is_tried_again_later_and_later(bench):
    bench.queue(Story(RELEASE).begin())
    bench.wires.dummies[ONE].failures = [NotDelivered("no answer", hint="look there")] * 9
    pauses = []
    for _ in range(9):
        bench.look()
        pauses.append((bench.deliveries.next_look() - bench.now).total_seconds())
        bench.now += timedelta(seconds=pauses[-1])
    assert pauses == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    assert bench.taken(TWO) == ["execution.started"], "another target is not held up"
    assert bench.outbox.late()[0].error == "no answer (look there)"
    bench.look()
    assert bench.taken(ONE) == ["execution.started"]
    assert bench.rung >= 9


def test_a_clock_that_is_set_back_holds_up_nothing(bench):
    bench.now = NOON - timedelta(hours=5)
    bench.queue(Story(RELEASE).begin())
    bench.wires.dummies[ONE].failures = [NotDelivered("no answer")]
    bench.look()
    assert bench.taken(TWO) == ["execution.started"]
    bench.now -= timedelta(hours=5)
    bench.look()
    assert bench.taken(ONE) == ["execution.started"]


def test_it_is_not_tried_before_its_time(bench):
    bench.queue(Story(RELEASE).begin())
    bench.wires.dummies[ONE].failures = [NotDelivered("no answer")]
    bench.look()
    bench.now += timedelta(seconds=4)
    bench.look()
    assert bench.taken(ONE) == []


def test_the_other_side_may_ask_for_more_time(bench):
    bench.queue(Story(RELEASE).begin())
    bench.wires.dummies[ONE].failures = [NotDelivered("slow down", after=90)]
    bench.look()
    assert bench.deliveries.next_look() == bench.now + timedelta(seconds=90)
    bench.now += timedelta(seconds=90)
    bench.wires.dummies[ONE].failures = [NotDelivered("slow down", after=10**9)]
    bench.look()
    assert bench.deliveries.next_look() == bench.now + LONGEST


def test_after_a_day_it_is_given_up_and_those_behind_it_go_on(bench):
    bench.queue(fails())
    bench.wires.dummies[ONE].failures = [NotDelivered("no answer")] * 2
    bench.now = fails().now
    bench.look()
    bench.now = NOON + GIVE_UP
    bench.look()
    assert [letter.event for letter in bench.outbox.given_up()] == ["execution.started"]
    assert bench.taken(ONE) == ["execution.failed"]
    assert "a notice is given up" in bench.text.getvalue()


def test_what_is_refused_is_given_up_at_once(bench):
    bench.queue(Story(RELEASE).begin())
    bench.wires.dummies[ONE].failures = [NotDelivered("404", refused=True)]
    bench.look()
    assert [letter.error for letter in bench.outbox.given_up()] == ["404"]


def test_a_target_that_is_not_named_any_more(bench):
    bench.queue(Story(RELEASE).begin())
    del bench.wires.dummies[ONE]
    bench.look()
    assert [letter.target for letter in bench.outbox.given_up()] == [ONE]


def test_a_bug_of_a_notifier_is_told_and_stops_nothing(bench):
    bench.queue(fails())
    bench.now = fails().now
    bench.wires.dummies[ONE].failures = [ZeroDivisionError()]
    bench.look()
    assert bench.taken(ONE) == ["execution.failed"]
    assert "ZeroDivisionError" in bench.outbox.given_up()[0].error


def test_a_target_that_hangs_holds_up_nobody_and_is_not_asked_twice(bench):
    go, asked = threading.Event(), []

    class Hangs:
        def send(self, notice):
            asked.append(notice.event)
            assert go.wait(30)

    bench.wires.dummies[ONE] = Hangs()
    bench.queue(Story(RELEASE).begin())
    bench.deliveries.look()
    while not asked or not bench.taken(TWO):
        time.sleep(0.005)
    bench.deliveries.look()
    assert not bench.pool.is_quiet, "a worker does not leave while it delivers"
    go.set()
    bench.look()
    assert asked == ["execution.started"]


def test_nobody_is_told_without_a_rule(bench):
    bench.wires.targets = ()
    bench.queue(fails())
    assert bench.outbox.heads() == ()


def test_a_bug_in_telling_stops_no_execution(bench):
    class Broken:
        @property
        def targets(self):
            raise ZeroDivisionError

    bench.deliveries = Deliveries(bench.outbox, Broken(), bench.pool, bench.ring, bench.log, lambda: bench.now)
    bench.queue(fails())
    assert "ZeroDivisionError" in bench.text.getvalue()


def test_what_a_pipeline_sends_is_queued_once_also_if_it_was_delivered_meanwhile(bench):
    (rule,) = parse({"config.toml": b'[[notify]]\nname = "team"\nwebhook = "https://one.example.com"\n'}).notify
    notice = one("execution.started")
    other = msgspec.structs.replace(notice, id=f"{notice.id}-2")
    for each in (notice, notice, other):
        bench.deliveries.send(rule, each)
        bench.now = NOON + timedelta(hours=1)
        bench.look()
    assert [told.id for told in bench.wires.dummies[ONE].taken] == [notice.id, other.id]
    assert bench.rung >= 3
