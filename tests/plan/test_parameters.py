"""Values of pipeline variables given at the start."""

import pytest

from agent.errors import UsageError
from agent.model.trigger import Entry, Variable
from agent.plan.parameters import check, share


def entry(*variables, pipeline="release"):
    return Entry(pipeline, "superseded", (), (), variables)


TARGET = Variable("environment", "staging", "where to deploy", ("staging", "production"))
REQUIRED = Variable("version", None, "what to release")


def test_a_given_value_wins_over_the_default():
    assert check(entry(TARGET), [("environment", "production")]) == {"environment": "production"}
    assert check(entry(TARGET), []) == {"environment": "staging"}


def test_values_may_hold_anything_printable():
    assert check(entry(REQUIRED), [("version", "ä = ${{ x }} $(y) 'z'")]) == {"version": "ä = ${{ x }} $(y) 'z'"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([("enviroment", "x")], "release has no variable enviroment\nhint: it declares environment, version"),
        ([("environment", "prod"), ("version", "1")], "environment cannot be 'prod'\nhint: one of staging, production"),
        ([], r"needs a value for variable version \(what to release\)\nhint: git push -o pipeline.var.version=…"),
        ([("version", "1"), ("version", "2")], "given twice"),
        ([("version", "a\nb")], r"control character U\+000A"),
        ([("version", "\x1b[31m")], r"control character U\+001B"),
        ([("version", "\x9b31m")], r"control character U\+009B"),
        ([("version", "\udcff")], r"control character U\+DCFF"),
        ([("version", "x" * 1001)], "1001 characters"),
    ],
)
def test_refuses(given, said):
    with pytest.raises(UsageError, match=said):
        check(entry(TARGET, REQUIRED), given)


def test_every_pipeline_of_a_push_gets_what_it_declares():
    other = entry(Variable("level", "1"), pipeline="test")
    values = share([entry(TARGET), other], [("level", "2")])
    assert values == {"release": {"environment": "staging"}, "test": {"level": "2"}}


def test_a_name_that_no_pipeline_of_the_push_declares():
    with pytest.raises(UsageError, match="no pipeline that this push starts has a variable levle"):
        share([entry(TARGET), entry(Variable("level", "1"), pipeline="test")], [("levle", "2")])
