"""`git pipeline show`: golden outputs, as files, of executions that went in every way."""

import msgspec
import pytest

from agent.results import record
from tests.support.tales import CASES


def shown(repositories, call, name, *words):
    commit = repositories.commit("Mend the sum")
    stories = CASES[name]()
    repositories.record(*(msgspec.structs.replace(story.record, commit=commit) for story in stories))
    code, out, err = call("show", stories[-1].record.handle, *words)
    assert (code, err) == (0, "")
    return out.replace(commit[:12], "COMMIT")


@pytest.mark.parametrize("name", ["success", "failure"])
def test_it_stands_as_in_the_file(repositories, call, name, golden):
    golden(f"show/{name}.txt", shown(repositories, call, name))


def test_who_is_asked_stands_below_the_tree(repositories, call):
    out = shown(repositories, call, "waiting")
    assert "└─ qa       Waiting" in out
    assert "\nsign-off/qa waits for approval by qa-lead (not the author of the commit), until 2026-11-30 12:00 UTC\n" in out
    assert "  to approve: git tag -s approve/release/42/sign-off/$USER COMMIT -m 'your comment' && git push" in out


def test_one_action_in_full(repositories, call, golden):
    golden("show/action.txt", shown(repositories, call, "success", "sign-off/qa"))


def test_json_is_the_record(repositories, call):
    commit = repositories.commit("one")
    [story] = CASES["success"]()
    made = msgspec.structs.replace(story.record, commit=commit)
    repositories.record(made)
    assert call("show", "--json")[1].encode() == record.encode(made) + b"\n"


def test_what_is_not_there(repositories, call):
    commit = repositories.commit("one")
    repositories.record(msgspec.structs.replace(CASES["success"]()[0].record, commit=commit))
    code, _, err = call("show", "relese")
    assert (code, "did you mean release" in err) == (2, True)
