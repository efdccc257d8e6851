"""What a tag demands, there and back; the refusals with real tags stand in tests/cases/control."""

from datetime import UTC, datetime, timedelta

import pytest

from agent.errors import RefusedError
from agent.model.control import Answer, Disable, Enable, Override, Retry, RollBack, Start, Stop
from agent.model.plan import RetryMode
from agent.trust.control_tags import (
    Said,
    check_execution,
    check_expiry,
    check_header,
    check_time,
    check_trailers,
    demand,
    name_of,
    trailers_of,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
COMMIT = "1" * 40
OF = {"pipeline": "release", "number": 42}
DEMANDS = [
    Answer(**OF, stage="production", approved=True),
    Answer(**OF, stage="production", approved=False, action="unit (3.11)"),
    Stop(**OF),
    Stop(**OF, abandon=True),
    Retry(**OF, stage="build"),
    Retry(**OF, stage="build", mode=RetryMode.ALL_ACTIONS),
    RollBack(**OF, stage="production"),
    Override(**OF, stage="production"),
    Disable(pipeline="release", stage="production"),
    Enable(pipeline="release", stage="production"),
    Start(pipeline="release", commit=COMMIT, ref="refs/heads/main", variables={"a": "b=c", "d": ""}),
]


@pytest.mark.parametrize("wanted", DEMANDS, ids=repr)
def test_there_and_back(wanted):
    said = Said(name_of(wanted, "alice"), COMMIT, trailers_of(wanted))
    check_trailers(said)
    assert demand(said, "refs/heads/main") == wanted


def said(verb: str = "approve", *trailers: tuple[str, str]) -> Said:
    sample = Stop(**OF) if verb == "stop" else Answer(**OF, stage="production", approved=True)
    return Said(name_of(sample, "x"), COMMIT, trailers)


@pytest.mark.parametrize("seconds", [0, 299, -299, 300, -300])
def test_a_clock_may_be_a_little_off(seconds):
    check_time(int(NOW.timestamp()) + seconds, NOW, 300)


@pytest.mark.parametrize(
    ("shift", "words"),
    [
        (-301, "dated 5 minutes ago, and at most 5 minutes"),
        (+301, "in the future"),
        (-7200, "2 hours ago"),
        (-90_000, "25 hours ago"),
        (-10 * 86400, "10 days ago"),
        (10**12, "days in the future"),
    ],
)
def test_lesson_1_8_but_not_much(shift, words):
    with pytest.raises(RefusedError, match=words) as caught:
        check_time(int(NOW.timestamp()) + shift, NOW, 300)
    assert "sign it again" in caught.value.hint


@pytest.mark.parametrize("text", ["2026-11-24T12:00:01Z", "2026-11-24T14:00:01+02:00", "2026-11-25", "2026-11-24T12:00:01"])
def test_not_yet_expired(text):
    check_expiry(said("approve", ("Expires", text)), NOW)


@pytest.mark.parametrize("text", ["2026-11-24T12:00:00Z", "2026-11-24T13:59:59+02:00", "2026-11-24", "1999-01-01"])
def test_expired(text):
    with pytest.raises(RefusedError, match="it expired at"):
        check_expiry(said("approve", ("Expires", text)), NOW)


@pytest.mark.parametrize("text", ["soon", "2026-13-01", "-", "24.11.2026"])
def test_no_time(text):
    with pytest.raises(RefusedError, match="is no time"):
        check_expiry(said("approve", ("Expires", text)), NOW + timedelta(days=1))


def test_lesson_1_10_the_name_is_signed_too():
    check_header("refs/tags/approve/release/42/production/x", "approve/release/42/production/x", "commit")
    with pytest.raises(RefusedError, match="for a tag called approve/release/1/production/x"):
        check_header("refs/tags/approve/release/42/production/x", "approve/release/1/production/x", "commit")
    with pytest.raises(RefusedError, match="it points at a tree"):
        check_header("refs/tags/stop/release/1/x", "stop/release/1/x", "tree")


def test_the_execution_may_be_named_or_must_be():
    named = said("approve", ("Execution", "one"))
    check_execution(named, "one", COMMIT, bound=True)
    check_execution(said(), "one", COMMIT, bound=False)
    for wrong, words in ((said(), "does not name the execution"), (said("approve", ("Execution", "two")), "for execution two")):
        with pytest.raises(RefusedError, match=words):
            check_execution(wrong, "one", COMMIT, bound=True)
    with pytest.raises(RefusedError, match="it is at 111111111111, but release #42 runs 222222222222"):
        check_execution(named, "one", "2" * 40, bound=False)


@pytest.mark.parametrize("verb", ["approve", "stop"])
@pytest.mark.parametrize("key", ["Mode", "Var"])
def test_trailers_that_mean_nothing(verb, key):
    with pytest.raises(RefusedError, match=f"'{key}:' means nothing in a tag of {verb}"):
        check_trailers(said(verb, (key, "x")))


def test_too_many_variables():
    start = name_of(Start(pipeline="release", commit=COMMIT, ref=""), "x")
    with pytest.raises(RefusedError, match="101 variables"):
        demand(Said(start, COMMIT, tuple(("Var", f"v{number}=x") for number in range(101))))
