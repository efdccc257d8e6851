"""The threads of the worker: bounded, stoppable, and not ended by a task that fails."""

import time
from queue import SimpleQueue
from threading import Event

from agent.worker.pool import Pool

LONG = 30.0


def wait(condition):
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_place_is_free_again_before_the_result_is_told():
    pool, seen = Pool(2), SimpleQueue()
    gate = Event()
    for name in "ab":
        pool.start(name, lambda stop: gate.wait(LONG), lambda result: seen.put((result, pool.free)))
    assert (pool.free, pool.is_running("a"), pool.is_quiet) == (0, True, False)
    gate.set()
    results = [seen.get(timeout=LONG) for _ in range(2)]
    assert [result for result, _ in results] == [True, True]
    assert max(free for _, free in results) == 2
    assert (pool.is_running("a"), pool.is_quiet) == (False, True)


def test_what_only_waits_takes_no_place():
    pool, seen = Pool(1), SimpleQueue()
    pool.start("waits", lambda stop: stop.wait(LONG), lambda _: seen.put(pool.free), waits=True)
    assert (pool.free, pool.is_running("waits"), pool.is_quiet) == (1, True, False)
    pool.stop("waits")
    assert seen.get(timeout=LONG) == 1


def test_one_is_stopped_and_not_the_other():
    pool, seen = Pool(2), SimpleQueue()
    for name in "ab":
        pool.start(name, lambda stop: stop.wait(LONG), lambda _, name=name: seen.put(name))
    pool.stop("a")
    pool.stop("nobody")
    assert seen.get(timeout=LONG) == "a"
    assert pool.is_running("b")
    pool.stop("b")
    assert seen.get(timeout=LONG) == "b"


def test_the_background_keeps_its_order():
    pool, seen = Pool(1), SimpleQueue()
    for number in range(100):
        pool.later(lambda number=number: seen.put(number))
    assert [seen.get(timeout=LONG) for _ in range(100)] == list(range(100))
    wait(lambda: pool.is_quiet)


def test_what_runs_goes_first_unless_too_much_is_put_off(monkeypatch):
    monkeypatch.setattr("agent.worker.pool.CALM", LONG)
    monkeypatch.setattr("agent.worker.pool.MOST", 2)
    pool, seen, gate = Pool(1), SimpleQueue(), Event()
    pool.start("a", lambda stop: gate.wait(LONG), lambda _: seen.put("ended"))
    pool.later(lambda: seen.put("one"))
    time.sleep(0.02)  # enough for it to be done, if it did not wait
    assert seen.empty()
    pool.later(lambda: seen.put("two"))
    assert seen.get(timeout=LONG) == "one"
    gate.set()
    assert {seen.get(timeout=LONG), seen.get(timeout=LONG)} == {"ended", "two"}


def test_a_task_that_fails_is_told_and_keeps_nobody_back():
    failed = []
    pool, seen = Pool(1, failed.append), SimpleQueue()

    def fail():
        raise ValueError("oh")

    pool.later(fail)
    pool.later_in(0.0, fail)
    pool.later(lambda: seen.put("after"))
    assert seen.get(timeout=LONG) == "after"
    wait(lambda: pool.is_quiet)
    assert [str(error) for error in failed] == ["oh", "oh"]


def test_work_that_fails_gives_its_place_back():
    failed, told = SimpleQueue(), []
    pool = Pool(1, failed.put)

    def fail(stop):
        raise ValueError("oh")

    pool.start("a", fail, told.append)
    assert str(failed.get(timeout=LONG)) == "oh"
    wait(lambda: pool.free == 1)
    assert told == []


def test_not_quiet_while_something_is_still_to_come():
    pool, done = Pool(1), Event()
    pool.later_in(0.05, done.set)
    assert not pool.is_quiet
    assert done.wait(LONG)
    wait(lambda: pool.is_quiet)
