"""`pipeline`: an execution of another pipeline, of this repository or of one that the operator opens, and its end."""

from typing import Self

from pydantic import Field, model_validator

from agent.actions.children import Child, Pipelines
from agent.actions.remote import Interrupted, RemoteAction, Work, failed, succeeded
from agent.definition.section import Section
from agent.definition.values import Flag, Text, problem
from agent.model.outcome import Outcome, Status

LONGEST = 2.0  # seconds between looks


class PipelineOptions(Section):
    """What is started, with what, and whether its end is ours."""

    pipeline: Text = Field(description="The name of the pipeline.")
    repository: Text = Field(default="", description="The operator's name of another repository, under `[repositories]`.")
    branch: Text = Field(default="", description="Whose head it runs. Default: our own commit; elsewhere the default branch.")
    variables: dict[Text, Text] = Field(default={}, description="Variables of the pipeline, over their defaults.")
    wait: Flag = Field(default=True, description="Whether to wait for its end, which is then ours.")
    stop: Flag = Field(default=False, description="Whether it is stopped where we are stopped or out of time.")

    @model_validator(mode="after")
    def _stops_what_it_waits_for(self) -> Self:
        if self.stop and not self.wait:
            raise problem("GP105", "`stop` ends what is waited for, and `wait: false` waits for nothing")
        return self


class PipelineAction(RemoteAction[PipelineOptions]):
    """A Provider. `status` is how the execution ended, or how it stood where nobody waits."""

    Options = PipelineOptions
    outputs = ("execution", "number", "status")

    def act(self, work: Work, options: PipelineOptions) -> Outcome:
        """See RemoteAction."""
        there = work.context.pipelines(work.attempt, options.repository, options.pipeline)
        child = _started(work, options, there)
        work.say(f"started {child.label} ({child.id})")
        ended = _ended(work, options, there, child) if options.wait else child
        outputs = {"execution": child.id, "number": str(child.number), "status": ended.status.value}
        if not options.wait:
            return succeeded(f"{child.label} is started", outputs=outputs)
        told = succeeded if ended.status is Status.SUCCEEDED else failed
        return told(f"{child.label}: {ended.status}", outputs=outputs)


def _started(work: Work, options: PipelineOptions, there: Pipelines) -> Child:
    """The repository itself remembers what we started; after a crash nothing is asked but that somebody works on it."""
    if not work.memory.get("asked for"):
        work.check()
        work.memory.put("asked for", work.token)
    return work.patiently(lambda: there.start(options.branch, options.variables, work.token))


def _ended(work: Work, options: PipelineOptions, there: Pipelines, child: Child) -> Child:
    def look(_: str = "") -> Child | None:
        found = there.look(child.id)
        if found is None:
            return Child(id=child.id, label=child.label, number=child.number, status=Status.CANCELLED)
        work.say(f"{found.label}: {found.status}")
        return found if found.status.is_final else None

    if options.stop:
        return work.follow(lambda _: child.id, look, there.stop, longest=LONGEST)
    try:
        return work.wait(look, LONGEST)
    except Interrupted:
        work.say(f"{child.label} goes on without us")
        raise
