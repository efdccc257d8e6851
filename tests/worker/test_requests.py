"""What people ask, judged once, in the state in which it meets the execution."""

from datetime import timedelta

import msgspec
import pytest

from agent.errors import EnvironmentFault
from agent.execution.events import ApprovalAnswered, Event, ExecutionEnded, StageRetried, StopRequested
from agent.execution.fold import fold
from agent.model.control import Answer, Disable, Enable, Override, Retry, RollBack, Start, Stop, Wish
from agent.model.execution import Execution
from agent.model.ids import execution_id
from agent.model.outcome import Status
from agent.model.plan import Mode, RetryMode
from agent.state.database import Database, open_database
from agent.state.journal import Journal
from agent.state.passes import Passes
from agent.state.queue import Queue
from agent.state.requests import Requests
from agent.state.transitions import Transitions
from agent.worker.requests import Asked
from agent.worker.rollbacks import Rollbacks
from agent.worker.running import Running
from tests.support.stories import COMMIT, NOON, Story, action, plan, stage
from tests.support.tales import RELEASE, asked

NOW = NOON + timedelta(days=1)


class Office:
    """The requests of one state.db, and a loop that journals what is answered."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.requests, self.queue, self.journal = Requests(database), Queue(database), Journal(database)
        self.transitions = Transitions(database)
        self._count = 0
        rollbacks = Rollbacks(self.queue, Passes(database), lambda: NOW, self._new_id)
        roles = {"bob": frozenset({"qa-lead"})}
        self.asked = Asked(
            database, self.queue, self.transitions, rollbacks, lambda: NOW, lambda: roles, self._new_id, self.journal
        )

    def _new_id(self):
        self._count += 1
        return execution_id(int(NOW.timestamp() * 1000) + self._count, b"0123456789")

    def tell(self, *stories: Story) -> None:
        for story in stories:
            self.queue.enqueue(msgspec.to_builtins(story.execution))
            self.queue.set_plan(story.execution.id, msgspec.json.encode(story.plan))
            bodies = [msgspec.json.encode(event) for event in story.events]
            self.journal.append(story.execution.id, 0, story.now.isoformat(), bodies)
            self.queue.set_status(story.execution.id, story.state.status.value)

    def ask(self, demand, by="bob", at=NOW, **more) -> int:
        wish = Wish(demand=demand, by=by, **more)
        return self.requests.add(at.isoformat(), "x", msgspec.json.encode(wish).decode())

    def find(self, execution) -> Running:
        row = self.queue.get(execution)
        body = self.queue.plan(execution)
        return Running(msgspec.json.decode(row.body, type=Execution), msgspec.json.decode(body, type=type(RELEASE)), self.journal)

    def work(self) -> list[Event]:
        """Answer all; the events that were journalled."""
        told = []
        for running, events in self.asked.answer(self.find):
            running.record(events)
            told += events
        return told

    def answer(self, demand, **more) -> tuple[str, str]:
        request = self.ask(demand, **more)
        self.work()
        found = self.requests.get(request)
        return found.state, found.answer


@pytest.fixture
def office(tmp_path):
    database = open_database(str(tmp_path / "state.db"))
    yield Office(database)
    database.close()


def named(kind, **fields):
    return kind(pipeline="release", **fields)


def failed(**fields) -> Story:
    story = Story(plan(stage("build", action("unit")), **fields)).begin().enter("build").start("build", "unit")
    return story.fail("build", "unit").leave("build", Status.FAILED).finish(Status.FAILED)


def test_a_stop_is_journalled_and_answered(office):
    office.tell(Story(RELEASE).begin().enter("build").start("build", "package"))
    request = office.ask(named(Stop, number=1, abandon=True), reason="wrong", tag="c0" * 20)
    [event] = office.work()
    assert event == StopRequested(at=NOW, by="bob", abandon=True, reason="wrong", tag="c0" * 20)
    assert office.requests.get(request).state == "done"
    assert office.work() == []


def test_what_was_journalled_before_a_crash_is_not_journalled_again(office):
    office.tell(Story(RELEASE).begin().enter("build").start("build", "package"))
    office.ask(named(Stop, number=1))
    for running, events in office.asked.answer(office.find):
        running.record(events)
        break  # killed before the answer was written
    row = office.queue.by_number("release", 1)
    length = office.journal.length(row.id)
    assert office.requests.open()
    assert office.work() == []
    assert not office.requests.open()
    assert office.journal.length(row.id) == length


def test_a_refusal_keeps_reason_and_hint_and_the_next_goes_on(office):
    office.tell(failed())
    first = office.ask(named(Stop, number=1))
    second = office.ask(named(Retry, number=1, stage="build"))
    [event] = office.work()
    assert isinstance(event, StageRetried)
    assert office.requests.get(first)[4:] == ("refused", "it is over already: Failed\nhint: nothing is left to stop")
    assert office.requests.get(second).state == "done"


def test_requests_see_what_those_before_them_did(office):
    office.tell(failed())
    for mode in RetryMode:
        office.ask(named(Retry, number=1, stage="build", mode=mode))
    assert len(office.work()) == 1


@pytest.mark.parametrize("body", ["{}", "nonsense", '{"demand": {"type": "dance"}, "by": "bob"}'])
def test_what_another_version_asked_keeps_nobody_back(office, body):
    strange = office.requests.add(NOW.isoformat(), "dance", body)
    assert office.answer(named(Disable, stage="build")) == ("done", "")
    assert office.requests.get(strange).state == "refused"
    assert "does not understand" in office.requests.get(strange).answer


def test_a_fault_of_the_state_leaves_the_request_open(office):
    """An approval must not be lost because the disk was full for a moment."""
    office.tell(Story(RELEASE).begin().enter("build").start("build", "package"))
    request = office.ask(named(Stop, number=1))

    def fail(execution):
        raise EnvironmentFault("the disk is full")

    with pytest.raises(EnvironmentFault):
        list(office.asked.answer(fail))
    assert office.requests.get(request).state == "open"
    assert len(office.work()) == 1


def test_an_execution_that_is_not_there(office):
    state, answer = office.answer(named(Stop, number=7))
    assert (state, answer.splitlines()[0]) == ("refused", "there is no execution release #7")


def test_the_way_into_a_stage(office):
    assert office.answer(named(Enable, stage="build"))[1] == "the transition into release/build is open already"
    assert office.answer(named(Disable, stage="build"), reason="freeze", by="ann") == ("done", "")
    [closed] = office.transitions.closed("release")
    assert (closed.stage, closed.reason, closed.by, closed.at) == ("build", "freeze", "ann", NOW.isoformat())
    assert office.answer(named(Enable, stage="build")) == ("done", "")
    assert office.transitions.closed() == ()


def test_a_start_is_queued_once_even_if_it_is_judged_twice(office):
    start = named(Start, commit=COMMIT, ref="refs/heads/main", variables={"a": "b"})
    request = office.ask(start)
    office.work()
    assert office.requests.get(request)[4:] == ("done", "release #1")
    office.database.write("UPDATE requests SET state = 'open', answer = ''")
    office.work()
    [row] = office.queue.history()
    made = msgspec.json.decode(row.body, type=Execution)
    assert (made.number, made.trigger, made.actor, made.variables) == (1, "manual", "bob", {"a": "b"})
    assert office.requests.get(request)[4:] == ("done", "release #1")


def test_what_two_requests_started_is_told_apart(office):
    """Request 1 and request 12 begin alike."""
    requests = [office.ask(named(Start, commit=COMMIT, ref="refs/heads/main")) for _ in range(12)]
    office.work()
    origins = [office.queue.of_origin(f"request:{request}:") for request in requests]
    assert [[row.number for row in rows] for rows in origins] == [[number] for number in range(1, 13)]


def passed(number=1, **fields) -> Story:
    story = Story(plan(stage("build", action("unit")), **fields), number=number).begin().enter("build").start("build", "unit")
    return story.end("build", "unit").leave("build").finish()


def test_a_rollback_is_queued_with_what_its_target_had(office):
    office.tell(passed())
    assert office.answer(named(RollBack, number=1, stage="build")) == ("done", "release #2")
    made = msgspec.json.decode(office.queue.by_number("release", 2).body, type=Execution)
    assert (made.trigger, made.rollback.stage, made.rollback.target_number, made.commit) == ("rollback", "build", 1, COMMIT)


@pytest.mark.parametrize(
    ("stories", "answer"),
    [
        ([failed()], "did not succeed in stage build: it is Failed there"),
        ([passed(mode=Mode.PARALLEL)], "a pipeline in parallel mode has no rollback"),
        ([passed(), Story(RELEASE, number=2).begin().enter("build")], "release #2 is in stage build"),
    ],
)
def test_rollbacks_that_cannot_be(office, stories, answer):
    office.tell(*stories)
    state, words = office.answer(named(RollBack, number=1, stage="build"))
    assert (state, answer in words) == ("refused", True)
    assert len(office.queue.history()) == len(stories)


def test_a_retry_is_refused_once_a_newer_one_has_come_there(office):
    newer = Story(RELEASE, number=2).begin().enter("build").start("build", "package", "unit")
    office.tell(failed(), newer)
    state, answer = office.answer(named(Retry, number=1, stage="build"))
    assert state == "refused"
    assert answer.startswith("release #2 has come to stage build since")


def test_unless_they_run_side_by_side_or_it_never_got_there(office):
    parallel = plan(stage("build", action("unit")), mode=Mode.PARALLEL)
    office.tell(failed(mode=Mode.PARALLEL), Story(parallel, number=2).begin().enter("build").start("build", "unit"))
    assert office.answer(named(Retry, number=1, stage="build"))[0] == "done"


def test_one_that_has_not_begun_is_no_hindrance(office):
    office.tell(failed(), Story(RELEASE, number=2))
    assert office.answer(named(Retry, number=1, stage="build"))[0] == "done"


def test_an_answer_counts_by_the_roles_of_now(office):
    office.tell(asked(Story(RELEASE)))
    answer = named(Answer, number=1, stage="sign-off", approved=True)
    state, words = office.answer(answer, by="eve")
    assert (state, words.splitlines()[0]) == ("refused", "eve has no say in sign-off/qa")
    state, words = office.answer(answer, is_author=True)
    assert (state, "author" in words) == ("refused", True)
    request = office.ask(answer, reason="fine", tag="c0" * 20, fingerprint="SHA256:x")
    [event] = office.work()
    assert isinstance(event, ApprovalAnswered)
    assert (event.person, event.complete, event.comment, event.fingerprint) == ("bob", True, "fine", "SHA256:x")
    assert office.requests.get(request).state == "done"


def test_a_request_of_a_clock_that_is_ahead_is_not_before_itself(office):
    office.tell(Story(RELEASE).begin().enter("build").start("build", "package"))
    office.ask(named(Stop, number=1), at=NOW + timedelta(seconds=3))
    [event] = office.work()
    assert event.at == NOW + timedelta(seconds=3)


def test_an_override_without_a_condition(office):
    office.tell(failed())
    state, words = office.answer(named(Override, number=1, stage="build"))
    assert (state, words) == ("refused", "no condition of stage build has failed or is being evaluated")


def test_the_journal_can_be_read_after_all_of_it(office):
    office.tell(failed())
    office.answer(named(Retry, number=1, stage="build"))
    row = office.queue.by_number("release", 1)
    events = [msgspec.json.decode(body, type=Event) for body in office.journal.read(row.id)]
    assert fold(events).status.value == "InProgress"
    assert isinstance(events[-2], ExecutionEnded)
