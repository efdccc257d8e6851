"""Triggers: the golden tables, and the algebra (exclude wins, OR over triggers, AND over parts)."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.push import RefUpdate
from agent.model.trigger import Entry, Patterns, PushTrigger, ScheduleTrigger
from agent.plan.triggers import Match, NoMatch, decide

FILES = sorted((Path(__file__).parent.parent / "cases" / "triggers").glob("*.toml"))
CASES = [case for file in FILES for case in tomllib.loads(file.read_text())["case"]]


def trigger(parts):
    return PushTrigger(
        **{key: Patterns(tuple(value.get("include", ())), tuple(value.get("exclude", ()))) for key, value in parts.items()}
    )


def entry(*pushes, schedules=()):
    return Entry("release", "superseded", pushes, schedules, ())


def update(ref, new="b" * 40):
    return RefUpdate("a" * 40, new, ref, "a" * 40)


def must_not_be_asked():
    raise AssertionError("this was not needed for the answer")


def changed_of(case):
    changed = case.get("changed", [])
    if changed == "must not be asked":
        return must_not_be_asked
    if changed == "unknown":
        return lambda: None
    return lambda: [f"file-{number}" for number in range(case.get("changed_many", 0))] + changed


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case):
    schedules = (ScheduleTrigger("0 3 * * *", "UTC", "main"),) if case.get("schedule") else ()
    message = must_not_be_asked if case.get("message_must_not_be_asked") else lambda: case.get("message", "work\n")
    decision = decide(
        entry(*map(trigger, case["push"]), schedules=schedules),
        update(case["ref"], case.get("new", "b" * 40)),
        changed_of(case),
        message,
        skip=case.get("skip", False),
    )
    if "starts" in case:
        assert isinstance(decision, Match)
        assert decision.trigger == case["starts"]
        assert case.get("because", "") in decision.reason
    else:
        assert decision == NoMatch(tuple(case["says"]))


def test_the_diff_and_the_message_are_asked_for_once():
    asked = []
    filters = [PushTrigger(paths=Patterns(("x",))), PushTrigger(paths=Patterns(("y",))), PushTrigger(paths=Patterns(("z",)))]
    decision = decide(
        entry(*filters), update("refs/heads/main"), lambda: asked.append("diff") or ["z"], lambda: asked.append("message") or ""
    )
    assert decision == Match(2, "branch main, z changed")
    assert asked == ["diff", "message"]


globs = st.sampled_from(["main", "*", "**", "a/*", "a/**", "b", "**/c", "{b,main}", "[!a]"])
names = st.sampled_from(["main", "a/b", "a/c", "b", "c", "a/b/c"])
patterns = st.builds(Patterns, st.lists(globs, max_size=3).map(tuple), st.lists(globs, max_size=2).map(tuple))
pushes = st.one_of(
    st.builds(PushTrigger, branches=st.none() | patterns, tags=st.none(), paths=st.none() | patterns),
    st.builds(PushTrigger, branches=st.none(), tags=patterns, paths=st.none()),
)
refs = st.builds(lambda kind, name: f"refs/{kind}/{name}", st.sampled_from(["heads", "tags"]), names)
paths = st.lists(names, max_size=4)


def fires(triggers, ref, changed):
    return isinstance(decide(entry(*triggers), update(ref), lambda: changed, lambda: "work"), Match)


@given(st.lists(pushes, max_size=4), refs, paths)
def test_triggers_are_alternatives(triggers, ref, changed):
    assert fires(triggers, ref, changed) == any(fires([one], ref, changed) for one in triggers)


@given(patterns, patterns, names, paths)
def test_parts_are_all_asked(branches, files, name, changed):
    ref = f"refs/heads/{name}"
    both = fires([PushTrigger(branches=branches, paths=files)], ref, changed)
    assert both == (fires([PushTrigger(branches=branches)], ref, changed) and fires([PushTrigger(paths=files)], ref, changed))


@given(patterns, globs, names)
def test_an_exclusion_wins(branches, glob, name):
    ref = f"refs/heads/{name}"
    stricter = Patterns(branches.include, (*branches.exclude, glob))
    if fires([PushTrigger(branches=Patterns((glob,)))], ref, []):
        assert not fires([PushTrigger(branches=stricter)], ref, [])
    else:
        assert fires([PushTrigger(branches=stricter)], ref, []) == fires([PushTrigger(branches=branches)], ref, [])


@given(patterns, names, paths, paths)
def test_files_are_alternatives(files, name, some, more):
    ref = f"refs/heads/{name}"
    filtered = [PushTrigger(paths=files)]
    assert fires(filtered, ref, some + more) == (fires(filtered, ref, some) or fires(filtered, ref, more))


@given(st.lists(pushes, min_size=1, max_size=4), refs, paths)
def test_a_refusal_has_a_reason_for_each_trigger(triggers, ref, changed):
    decision = decide(entry(*triggers), update(ref), lambda: changed, lambda: "work")
    if isinstance(decision, NoMatch):
        assert len(decision.reasons) == len(triggers)
        assert all(decision.reasons)
