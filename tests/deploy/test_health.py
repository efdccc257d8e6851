"""CodeDeploy's arithmetic, with the examples of its documentation."""

import pytest

from agent.deploy.health import Tolerance, Verdict, judge, tolerance
from agent.errors import DefinitionError
from agent.model.amount import amount


@pytest.mark.parametrize(
    ("total", "minimum", "at_once"),
    [(10, "9", 1), (10, "8", 2), (10, "0", 10), (10, "90%", 1), (9, "50%", 4), (10, "50%", 5), (3, "34%", 1), (4, "0%", 4)],
)
def test_as_many_at_once_as_may_be_unhealthy(total, minimum, at_once):
    assert tolerance(total, amount(minimum)).at_once == at_once


@pytest.mark.parametrize(("total", "minimum"), [(10, "95%"), (10, "10"), (1, "1"), (3, "67%")])
def test_a_minimum_that_leaves_no_host_is_refused_at_once(total, minimum):
    with pytest.raises(DefinitionError, match="so none may be deployed to"):
        tolerance(total, amount(minimum))


@pytest.mark.parametrize(
    ("total", "minimum", "succeeded", "failed", "verdict"),
    [
        # one at a time: the first failure ends it, but not the last host's
        (3, 2, 0, 1, Verdict.STOP),
        (3, 2, 1, 1, Verdict.STOP),
        (3, 2, 2, 0, Verdict.GO_ON),
        (3, 2, 2, 1, Verdict.SUCCEEDED),
        # half at a time, nine hosts: four at once, five must succeed
        (9, 5, 4, 0, Verdict.GO_ON),
        (9, 5, 0, 4, Verdict.STOP),
        (9, 5, 1, 3, Verdict.GO_ON),
        (9, 5, 5, 4, Verdict.SUCCEEDED),
        (9, 5, 4, 5, Verdict.FAILED),
        # all at once: one success is enough, none is a failure
        (5, 0, 1, 4, Verdict.SUCCEEDED),
        (5, 0, 0, 5, Verdict.FAILED),
        # a single host has to succeed
        (1, 0, 0, 1, Verdict.FAILED),
        # healthy falls to the minimum, and there is more to do
        (10, 8, 0, 2, Verdict.STOP),
        (10, 8, 1, 1, Verdict.GO_ON),
    ],
)
def test_the_verdict_follows_from_the_results(total, minimum, succeeded, failed, verdict):
    assert judge(Tolerance(total=total, minimum=minimum), succeeded, failed) is verdict


@pytest.mark.parametrize(
    ("succeeded", "failed", "verdict"), [(3, 1, Verdict.FAILED), (1, 1, Verdict.STOP), (4, 0, Verdict.SUCCEEDED)]
)
def test_strict_means_every_host(succeeded, failed, verdict):
    assert judge(Tolerance(total=4, minimum=0, strict=True), succeeded, failed) is verdict
