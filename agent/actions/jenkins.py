"""`jenkins`: a build of a job on a Jenkins that the operator opens, with its console log (codepipeline.md 1.6)."""

import re
from typing import Annotated, Any

from pydantic import Field

from agent.actions.base import Attempt, Context, options_of
from agent.actions.jenkinsjob import Job
from agent.actions.remote import RemoteAction, Work, failed, succeeded
from agent.definition.section import Section
from agent.definition.values import Flag, Text, matching
from agent.errors import DefinitionError, EnvironmentFault, Unavailable
from agent.model.outcome import Outcome

LONGEST = 5.0  # seconds between looks
JobName = Annotated[
    str,
    matching(re.compile(r"(?!\.{1,2}(/|$))[^/]+(/(?!\.{1,2}(/|$))[^/]+)*"), "name of a job", "with its folders: team/app"),
]


class JenkinsOptions(Section):
    """Which job is built, with what."""

    server: Text = Field(description="The operator's name of the Jenkins, under `[servers]`.")
    job: JobName = Field(description="The name of the job, with its folders: `team/app`.")
    parameters: dict[Text, Text] = Field(default={}, description="Parameters of the build, over the defaults of the job.")
    unstable: Flag = Field(default=False, description="Whether an unstable build is a good one.")
    mark: Text = Field(
        default="PIPELINE_ATTEMPT",
        description="A string parameter that the job may declare: a build whose start nobody confirmed is found again by it.",
    )


class JenkinsAction(RemoteAction[JenkinsOptions]):
    """A Provider."""

    Options = JenkinsOptions
    outputs = ("build", "url", "result")

    def perform(self, attempt: Attempt, context: Context) -> Outcome:
        """See Action. Raises RefusedError, before anything is sent, if the operator does not open the server to the attempt."""
        context.server(attempt, options_of(attempt, JenkinsOptions).server)  # masks, before a former worker's log is said again
        return super().perform(attempt, context)

    def act(self, work: Work, options: JenkinsOptions) -> Outcome:
        """See RemoteAction."""
        build = Build(work, options, Job(work.context.server(work.attempt, options.server), options.job))
        ended = work.follow(lambda _: build.start(), build.look, build.cancel, longest=LONGEST)
        outputs = {"build": work.memory.get("build"), "url": ended.get("url", ""), "result": ended["result"]}
        good = ended["result"] == "SUCCESS" or (ended["result"] == "UNSTABLE" and options.unstable)
        about = f"{options.job} #{outputs['build']}: {ended['result']}"
        return (succeeded if good else failed)(about, work.memory.get("link"), outputs)


class Build:
    """The one build of a job that an attempt is about; what tells it from others is its item in the queue of the Jenkins."""

    def __init__(self, work: Work, options: JenkinsOptions, job: Job) -> None:
        self._work = work
        self._memory = work.memory
        self._options = options
        self._job = job
        self._log = work.stream("console")
        self._at = 0  # in the log
        self._ending = self._stopped = False

    def start(self) -> str:
        """Queue it, unless that was done already. Where nobody can tell whether it was, none is started twice."""
        options, declared = self._options, self._job.declared()
        if unknown := sorted(options.parameters.keys() - declared):
            raise DefinitionError(f"{options.job} has no parameter {unknown[0]}", hint=f"it has {', '.join(sorted(declared))}")
        mark = {options.mark: self._work.token} if options.mark in declared else {}
        if self._memory.get("posted"):
            if found := self._job.marked(options.mark, self._work.token):
                return found
            if not mark:
                raise EnvironmentFault(
                    f"nobody can tell whether {options.job} was started: the answer to that was lost",
                    hint=f"look there, and retry if it was not; a job that declares {options.mark} is found again",
                )
        self._memory.put("posted", "yes")
        form = {**options.parameters, **mark, "delay": "0sec"}
        return self._job.start(form, takes=bool(declared), undone=lambda: self._memory.put("posted", ""))

    def look(self, item: str) -> dict[str, Any] | None:
        """The build once it has ended, with its log until now."""
        if not self._memory.get("build"):
            queued = self._job.queued(item)
            if queued.get("cancelled"):
                return {"result": "CANCELLED"}
            if not (found := queued.get("executable")):
                self._work.say(f"in the queue: {str(queued.get('why') or '').partition('. ')[0]}")
                return None
            self._memory.put("link", f"{found['url']}console")
            self._work.say(f"build {self._memory.put('build', str(found['number']))}: {found['url']}console")
        number = self._memory.get("build")
        if self._ending and not self._stopped:  # it left the queue while it was taken out
            self.cancel(item)
        build = self._job.build(number)
        if self._read(number) or build["building"]:
            return None
        self._log.finish()
        return build

    def cancel(self, item: str) -> None:
        """Take it out of the queue, or stop it."""
        self._ending = True
        number = self._memory.get("build")
        if number:
            self._job.stop(number)
        else:
            self._job.cancel(item)
        self._stopped = bool(number)

    def _read(self, number: str) -> bool:
        """What has come to the console log, from its beginning again if that breaks off; whether more will come."""
        try:
            self._at, more = self._job.console(number, self._at, self._log.feed)
        except Unavailable:
            self._log, self._at = self._work.stream("console"), 0
            raise
        return more
