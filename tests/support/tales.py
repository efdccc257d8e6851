"""The executions whose notes stand as files under tests/cases/notes: one function per case."""

from collections.abc import Callable
from datetime import timedelta

from agent.execution import events
from agent.model.execution import Rollback, TriggerType
from agent.model.ids import ExecutionId, StageName
from agent.model.outcome import ArtifactRecord, Reason, Status, TestSummary
from agent.model.plan import Approval, Condition, Deploy, Group, RetryMode, Rule
from tests.support.stories import Story, action, plan, stage

DIST = ArtifactRecord(name="dist", digest="ab" * 32, size=1_234_567, files=3)
QA = Approval(groups=(Group(any_of=("qa-lead",)),), not_author=True, message="Check staging", url="https://staging.example.com")
WEEK = 7.0

RELEASE = plan(
    stage("build", action("package"), action("unit")),
    stage("staging", action("web", Deploy(to="web-staging"))),
    stage("sign-off", action("qa", QA, timeout=timedelta(days=WEEK))),
    stage("production", action("web", Deploy(to="web-production"))),
)


def built(story: Story) -> Story:
    story.after(1).begin().enter("build").start("build", "package", "unit")
    story.after(12).end("build", "package", artifacts=(DIST,), log_bytes=2048, log_lines=40)
    story.after(28.6).end("build", "unit", tests=TestSummary(tests=124, skipped=1)).leave("build")
    return story


def asked(story: Story) -> Story:
    built(story).enter("staging").start("staging", "web").after(8).end("staging", "web").leave("staging")
    return story.enter("sign-off").start("sign-off", "qa", days=WEEK)


def success() -> list[Story]:
    story = asked(Story(RELEASE, variables={"environment": "staging", "note": "two\nlines"}))
    story.after(7200).tell(
        events.ApprovalAnswered,
        stage="sign-off",
        action="qa",
        person="bob",
        approved=True,
        complete=True,
        comment="looks fine",
        tag="c0" * 20,
    )
    story.end("sign-off", "qa", message="approved by bob").leave("sign-off").enter("production").start("production", "web")
    story.after(65).end("production", "web").leave("production").finish()
    return [story]


def failure() -> list[Story]:
    story = Story(RELEASE).after(1).begin().enter("build").start("build", "package", "unit")
    story.after(12).end("build", "package", artifacts=(DIST,))
    tail = [
        "tests/test_sum.py:7: in test_carry",
        "    assert add(19, 3) == 22",
        "\x1b[31mE   assert 12 == 22\x1b[0m",
        "",
        "2 failed, 121 passed in 3.1s",
    ]
    failed = ("test_sum.test_carry", "test_sum.test_negative")
    story.after(27).fail("build", "unit", tail=tail, tests=TestSummary(tests=124, failures=2, skipped=1, failed=failed))
    return [story.leave("build", Status.FAILED).finish(Status.FAILED, "stage build failed")]


def timeout() -> list[Story]:
    story = Story(plan(stage("test", action("slow"), action("next", needs=("slow",)))), number=3)
    story.begin().enter("test").start("test", "slow").after(1800)
    story.fail("test", "slow", reason=Reason.TIMEOUT, exit_code=None, message="ended after 30m, its time limit")
    return [story.leave("test", Status.FAILED).finish(Status.FAILED)]


def waiting() -> list[Story]:
    return [asked(Story(RELEASE))]


def two_approvals() -> list[Story]:
    groups = (Group(any_of=("qa-lead", "ops"), count=2), Group(any_of=("security",)))
    story = Story(plan(stage("sign-off", action("qa", QA), action("it's safe (eu)", Approval(groups=groups)))), number=7)
    story.begin().enter("sign-off").start("sign-off", "qa", "it's safe (eu)", days=1).after(60)
    answer = {"person": "carol", "approved": True, "complete": False, "comment": "fine by me"}
    return [story.tell(events.ApprovalAnswered, stage="sign-off", action="it's safe (eu)", **answer)]


def rejected() -> list[Story]:
    story = asked(Story(RELEASE)).after(600)
    answer = {"person": "bob", "approved": False, "complete": True, "comment": "the logo is \x1b[31mred"}
    story.tell(events.ApprovalAnswered, stage="sign-off", action="qa", **answer)
    story.end("sign-off", "qa", status=Status.FAILED, reason=Reason.REJECTED, message="rejected by bob")
    return [story.leave("sign-off", Status.FAILED).finish(Status.FAILED)]


def superseded() -> list[Story]:
    story = built(Story(RELEASE)).tell(events.StageArrived, stage="staging").after(30)
    return [story.finish(Status.SUPERSEDED, "superseded by #43 in front of staging")]


def queued() -> list[Story]:
    return [Story(RELEASE, actor="")]


def running() -> list[Story]:
    story = Story(RELEASE).after(2).begin().enter("build").start("build", "package", "unit")
    return [story.after(12).end("build", "package", artifacts=(DIST,))]


def stopped() -> list[Story]:
    story = Story(RELEASE).begin().enter("build").start("build", "package", "unit").after(5)
    story.tell(events.StopRequested, by="bob", abandon=True, reason="wrong branch")
    story.end("build", "package", status=Status.ABANDONED, reason=Reason.STOPPED)
    story.end("build", "unit", status=Status.ABANDONED, reason=Reason.STOPPED)
    return [story.leave("build", Status.STOPPED).finish(Status.STOPPED, "wrong branch")]


def rollback() -> list[Story]:
    back = Rollback(stage=StageName("production"), target=ExecutionId("0" * 26), target_number=40)
    story = Story(plan(RELEASE.stages[3]), number=43, trigger=TriggerType.AUTOMATIC_ROLLBACK, actor="", rollback=back)
    story.begin().enter("production").start("production", "web").after(30).end("production", "web")
    failed = built(Story(plan(RELEASE.stages[0], RELEASE.stages[3])))
    failed.enter("production").start("production", "web").after(50)
    failed.fail(
        "production", "web", reason=Reason.ENGINE, exit_code=None, message="10.0.1.11: connection refused\nport 22, 3 tries"
    )
    failed.tell(events.RollbackStarted, stage="production", execution=story.execution.id, number=43)
    failed.leave("production", Status.FAILED).finish(Status.FAILED)
    return [failed, story.leave("production").finish()]


def retried() -> list[Story]:
    story = Story(plan(RELEASE.stages[0])).begin().enter("build").start("build", "package", "unit").after(4)
    story.end("build", "package").fail("build", "unit", code=137, reason=Reason.OUT_OF_MEMORY)
    story.leave("build", Status.FAILED).finish(Status.FAILED).after(300)
    story.tell(events.StageRetried, stage="build", mode=RetryMode.FAILED_ACTIONS, by="alice", actions=("unit",))
    story.enter("build").start("build", "unit", attempt=2).after(40).end("build", "unit", attempt=2)
    return [story.leave("build").finish()]


def matrix() -> list[Story]:
    versions = ("3.11", "3.12", "3.13")
    names = [f"unit ({version})" for version in versions]
    story = Story(plan(stage("test", *(action(name, matrix={"python": name[6:-1]}) for name in names)), pipeline="ci"), number=8)
    story.begin().enter("test").start("test", *names).after(21.4).end("test", names[0]).after(1)
    story.fail("test", names[1], code=2, tail=["make: *** [Makefile:3: test] Error 2"]).after(1)
    return [story.end("test", names[2]).leave("test", Status.FAILED).finish(Status.FAILED)]


def fifty_actions() -> list[Story]:
    names = [f"shard-{index:02}" for index in range(1, 51)]
    story = Story(plan(stage("test", *map(action, names)), stage("publish", action("upload")), pipeline="ci"), number=1000)
    story.begin().enter("test").start("test", *names)
    for index, name in enumerate(names):
        story.after(0.7)
        if index % 6 == 5:
            story.fail("test", name, tail=[f"{name}: no such file or directory"])
        else:
            story.end("test", name)
    return [story.leave("test", Status.FAILED).finish(Status.FAILED)]


def conditions() -> list[Story]:
    window = Condition(rules=(Rule(provider="window", name="office hours"), Rule(provider="command")))
    story = Story(plan(stage("production", action("web"), before_entry=window)), number=9, trigger=TriggerType.MANUAL)
    story.begin().enter("production")
    deadline = story.now + timedelta(minutes=5)
    gate = {"stage": "production", "gate": events.Gate.BEFORE_ENTRY}
    story.tell(events.RuleStarting, index=0, deadline=deadline, **gate).tell(
        events.RuleStarting, index=1, deadline=deadline, **gate
    )
    story.after(1).tell(events.RuleEnded, index=0, status=Status.FAILED, message="closed until 09:00 Europe/Berlin", **gate)
    story.tell(events.RuleEnded, index=1, status=Status.SUCCEEDED, **gate)
    message = "condition before_entry failed (rule office hours: closed until 09:00 Europe/Berlin)"
    return [story.leave("production", Status.FAILED, message).finish(Status.FAILED, "stage production failed")]


def nightly() -> list[Story]:
    """The same commit, night after night, beside another pipeline."""
    told = []
    for number in range(1, 14):
        story = Story(
            plan(stage("check", action("links")), pipeline="nightly"), number=number, trigger=TriggerType.SCHEDULE, actor=""
        )
        story.begin().enter("check").start("check", "links").after(5)
        told.append(story.end("check", "links").leave("check").finish())
    return [*told, *failure()]


CASES: dict[str, Callable[[], list[Story]]] = {
    "success": success,
    "failure": failure,
    "timeout": timeout,
    "waiting": waiting,
    "two_approvals": two_approvals,
    "rejected": rejected,
    "superseded": superseded,
    "queued": queued,
    "running": running,
    "stopped": stopped,
    "rollback": rollback,
    "retried": retried,
    "matrix": matrix,
    "fifty_actions": fifty_actions,
    "conditions": conditions,
    "nightly": nightly,
}
