"""`git pipeline list`: filters, pages, and the form for scripts."""

import json

import msgspec
import pytest

from tests.cli.test_status import done, simple
from tests.support.tales import CASES


@pytest.fixture
def many(repositories):
    """release #1 and #2, nightly #3 on a branch by bob, release #4 that failed, and one that waits."""
    commit = repositories.commit("one")
    nightly = msgspec.structs.replace(done(3, commit, "nightly"), ref="refs/heads/side", actor="bob")
    failed = simple(4, commit).after(3).fail("build", "unit", code=2).leave("build", "Failed").finish("Failed").record
    waiting = msgspec.structs.replace(CASES["waiting"]()[0].record, commit=commit)
    repositories.record(done(1, commit), done(2, commit), nightly, failed, waiting)
    return repositories


def labels(out):
    return [" ".join(line.split()[:2]) for line in out.splitlines()]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), ["release #42", "release #4", "nightly #3", "release #2", "release #1"]),
        (("--pipeline", "nightly"), ["nightly #3"]),
        (("--status", "failed"), ["release #4"]),
        (("--status", "waiting"), ["release #42"]),
        (("--branch", "side"), ["nightly #3"]),
        (("--person", "bob"), ["nightly #3"]),
        (("--stage", "sign-off"), ["release #42"]),
        (("--stage", "build", "--status", "Succeeded"), ["nightly #3", "release #2", "release #1"]),
        (("-n", "2"), ["release #42", "release #4"]),
        (("-n", "2", "--before", "release#4"), ["nightly #3", "release #2"]),
        (("--pipeline", "release", "--before", "2"), ["release #1"]),
    ],
)
@pytest.mark.usefixtures("many")
def test_filters_and_pages(call, options, found):
    code, out, err = call("list", *options)
    assert (code, err) == (0, "")
    assert labels(out) == found


@pytest.mark.usefixtures("many")
def test_nothing_found_is_no_failure(call):
    assert call("list", "--pipeline", "other") == (0, "", "no such executions\n")


def test_the_form_for_scripts(many, call):
    code, out, _ = call("list", "--porcelain", "--pipeline", "nightly")
    [fields] = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert fields[1:4] == ["nightly", "3", "Succeeded"]
    assert fields[5:] == [
        "refs/heads/side",
        "push",
        "bob",
        "2026-11-23T12:00:00+00:00",
        "2026-11-23T12:00:00+00:00",
        "2026-11-23T12:01:12+00:00",
    ]
    assert call("list", "--porcelain", "--pipeline", "other") == (0, "", "")
    assert call("status", "--porcelain", "--branches")[1].count("\n") == 2
    assert [json.loads(line)["number"] for line in call("list", "--json")[1].splitlines()] == [42, 4, 3, 2, 1]
