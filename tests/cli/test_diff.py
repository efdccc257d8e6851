"""`git pipeline diff`: what changed between two executions, as a file has it."""

from msgspec.structs import replace

from tests.cli.test_status import simple
from tests.support.stories import Story, action, plan, stage


def test_everything_that_can_change(repositories, call, golden):
    first, second = repositories.commit("one"), repositories.commit("two")
    before = simple(1, first).after(10).end("build", "unit", image="debian@sha256:aa", outputs={"version": "1", "gone": "x"})
    after = simple(2, second).after(31).fail("build", "unit", code=2, image="debian@sha256:bb", outputs={"version": "2"})
    old = replace(before.leave("build").finish().record, variables={"where": "earth"})
    new = replace(after.leave("build", "Failed").finish("Failed").record, variables={"where": "mars", "new": "1"})
    repositories.record(old, new)
    code, out, err = call("diff", "1", "2")
    assert (code, err) == (1, "")
    golden("diff/everything.txt", out.replace(first[:12], "FIRST").replace(second[:12], "SECOND").replace(second[:7], "SECOND"))


def test_the_time_alone_is_no_difference(repositories, call):
    commit = repositories.commit("one")
    stories = [
        simple(number, commit).after(took).end("build", "unit").leave("build").finish() for number, took in ((1, 10), (2, 30))
    ]
    repositories.record(*(story.record for story in stories))
    code, out, _ = call("diff", "1", "2")
    assert code == 0
    assert out.splitlines()[1:] == ["times", "  build/unit: 10s -> 30s (3.0 times as long)"]
    assert call("diff", "1", "1")[1].splitlines()[1:] == ["nothing changed"]


def test_an_action_that_ran_only_once_has_lost_nothing(repositories, call):
    commit = repositories.commit("one")
    ended = simple(1, commit).end("build", "unit", image="debian@sha256:aa", outputs={"version": "1"})
    never = Story(plan(stage("build", action("unit"))), number=2, commit=commit).begin()
    repositories.record(ended.leave("build").finish().record, never.finish("Stopped").record)
    code, out, _ = call("diff", "1", "2")
    assert (code, out.splitlines()[1:]) == (1, ["outcomes", "  build/unit: Succeeded -> Pending"])
