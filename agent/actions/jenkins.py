"""`jenkins`: a build of a job on a Jenkins that the operator opens, with its console log (codepipeline.md 1.6)."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from pydantic import Field

from agent.actions.base import Attempt, Context, options_of
from agent.actions.remote import RemoteAction, Work, failed, succeeded
from agent.actions.server import Server
from agent.definition.section import Section
from agent.definition.values import Flag, Text, matching
from agent.errors import DefinitionError, EnvironmentFault, Unavailable
from agent.model.outcome import Outcome

LONGEST = 5.0  # seconds between looks
JobName = Annotated[
    str,
    matching(re.compile(r"(?!\.{1,2}(/|$))[^/]+(/(?!\.{1,2}(/|$))[^/]+)*"), "name of a job", "with its folders: team/app"),
]
RECENT = 200  # builds among which one is looked for


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
        build = Build(work, options, work.context.server(work.attempt, options.server))
        ended = work.follow(lambda _: build.start(), build.look, build.cancel, longest=LONGEST)
        outputs = {"build": work.memory.get("build"), "url": ended.get("url", ""), "result": ended["result"]}
        good = ended["result"] == "SUCCESS" or (ended["result"] == "UNSTABLE" and options.unstable)
        about = f"{options.job} #{outputs['build']}: {ended['result']}"
        return (succeeded if good else failed)(about, work.memory.get("link"), outputs)


class Build:
    """The one build of a job that an attempt is about; what tells it from others is its item in the queue of the Jenkins."""

    def __init__(self, work: Work, options: JenkinsOptions, server: Server) -> None:
        self._work = work
        self._memory = work.memory
        self._options = options
        self._server = server
        self._job = "/".join(f"job/{quote(part, safe='')}" for part in options.job.split("/"))
        self._log = work.stream("console")
        self._at = 0  # in the log
        self._ending = self._stopped = False

    def start(self) -> str:
        """Queue it, unless that was done already. Where nobody can tell whether it was, none is started twice."""
        options, declared = self._options, self._declared()
        if unknown := sorted(options.parameters.keys() - declared):
            raise DefinitionError(f"{options.job} has no parameter {unknown[0]}", hint=f"it has {', '.join(sorted(declared))}")
        mark = {options.mark: self._work.token} if options.mark in declared else {}
        if self._memory.get("posted"):
            if found := self._marked():
                return found
            if not mark:
                raise EnvironmentFault(
                    f"nobody can tell whether {options.job} was started: the answer to that was lost",
                    hint=f"look there, and retry if it was not; a job that declares {options.mark} is found again",
                )
        self._memory.put("posted", "yes")
        form = {**options.parameters, **mark, "delay": "0sec"}
        where = self._post(f"{self._job}/{'buildWithParameters' if declared else 'build'}", form)
        if not (item := re.search(r"/queue/item/(\d+)/?$", where)):
            raise EnvironmentFault(f"{self._server.name} does not say which item of its queue it is", hint="is it a Jenkins?")
        return item[1]

    def look(self, item: str) -> dict[str, Any] | None:
        """The build once it has ended, with its log until now."""
        if not self._memory.get("build"):
            queued = self._server.document(f"queue/item/{item}/api/json") or self._left(item)
            if queued.get("cancelled"):
                return {"result": "CANCELLED"}
            if not (found := queued.get("executable")):
                self._work.say(f"in the queue: {str(queued.get('why') or '').partition('. ')[0]}")
                return None
            self._memory.put("link", f"{found['url']}console")
            self._work.say(f"build {self._memory.put('build', str(found['number']))}: {found['url']}console")
        path = f"{self._job}/{self._memory.get('build')}"
        if self._ending and not self._stopped:  # it left the queue while it was taken out
            self.cancel(item)
        build = self._server.document(f"{path}/api/json", tree="building,result,url") or {"building": False, "result": "DELETED"}
        if self._read(path) or build["building"]:
            return None
        self._log.finish()
        return build

    def cancel(self, item: str) -> None:
        """Take it out of the queue, or stop it."""
        self._ending = True
        number = self._memory.get("build")
        self._post(f"{self._job}/{number}/stop" if number else f"queue/cancelItem?id={item}", {})
        self._stopped = bool(number)

    def _read(self, path: str) -> bool:
        """What has come to the console log, from its beginning again if that breaks off; whether more will come."""
        try:
            with self._server.ask("GET", f"{self._server.url}{path}/logText/progressiveText?start={self._at}") as answer:
                if answer.status == 404:
                    return False
                self._server.check(answer)
                for chunk in answer.chunks():
                    self._log.feed(chunk)
                self._at = int(answer.headers.get("X-Text-Size", self._at))
                return answer.headers.get("X-More-Data") == "true"
        except Unavailable:
            self._log, self._at = self._work.stream("console"), 0
            raise

    def _post(self, path: str, form: Mapping[str, str]) -> str:
        """The Location of the answer; empty if there is nothing at the path."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", **self._crumb()}
        with self._server.ask("POST", f"{self._server.url}{path}", urlencode(form).encode(), headers) as answer:
            if answer.status >= 400 and answer.status not in {502, 504}:  # what a proxy says may hide that it was done
                self._memory.put("posted", "")
            if answer.status != 404:
                self._server.check(answer)
            return answer.headers.get("Location", "")

    def _crumb(self) -> dict[str, str]:
        """The header by which Jenkins knows a form as its own, with its session; none where it does not ask for it."""
        with self._server.ask("GET", f"{self._server.url}crumbIssuer/api/json") as answer:
            if answer.status == 404:
                return {}
            self._server.check(answer)
            said = answer.document()
            cookies = (cookie.partition(";")[0] for cookie in answer.headers.get_all("Set-Cookie", ()))
            return {said["crumbRequestField"]: said["crumb"], "Cookie": "; ".join(cookies)}

    def _declared(self) -> set[str]:
        found = self._server.document(f"{self._job}/api/json", tree="name,property[parameterDefinitions[name]]")
        if not found:
            raise EnvironmentFault(
                f"there is no job {self._options.job} on {self._server.name}", hint="or its user may not see it"
            )
        return {one["name"] for each in found.get("property", ()) for one in each.get("parameterDefinitions", ())}

    def _marked(self) -> str:
        """The item that has our mark; first in the queue, as what is not there any more is among the builds."""
        tree = "actions[parameters[name,value]]"
        queued = self._server.document("queue/api/json", tree=f"items[id,{tree}]").get("items", ())
        items = [*queued, *({**build, "id": build["queueId"]} for build in self._builds(tree))]
        mark = {"name": self._options.mark, "value": self._work.token}
        return next((str(item["id"]) for item in items if any(mark.items() <= one.items() for one in _parameters(item))), "")

    def _left(self, item: str) -> dict[str, Any]:
        """What Jenkins would say of an item that it forgot, as it does some minutes after it has left the queue."""
        found = next((build for build in self._builds("url") if str(build["queueId"]) == item), None)
        return {"executable": found, "cancelled": found is None}

    def _builds(self, more: str) -> list[dict[str, Any]]:
        tree = f"builds[number,queueId,{more}]{{0,{RECENT}}}"
        return list(self._server.document(f"{self._job}/api/json", tree=tree).get("builds", ()))


def _parameters(item: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (one for action in item.get("actions", ()) for one in action.get("parameters", ()))
