"""`http`: call a URL at a server that the operator opens, and expect an answer."""

import json
from datetime import timedelta
from typing import Annotated, Literal

import msgspec
from pydantic import Field

from agent.actions.base import Attempt, Context, options_of
from agent.actions.memory import Unknown
from agent.actions.remote import RemoteAction, Work, failed, succeeded
from agent.actions.server import Answer, Server, Unheard
from agent.definition.section import Section
from agent.definition.values import Duration, Flag, Text, Texts, Whole
from agent.errors import EnvironmentFault
from agent.model.outcome import Outcome, Reason

CAP = 64 * 1024  # bytes of an answer that are read
SHOWN = 2000  # characters of it in a message or an output
UNSAFE = frozenset({"POST", "PATCH"})  # what is asked for twice may be done twice (RFC 9110, 9.2.2)


class HttpOptions(Section):
    """What is called, and what it should answer. Redirects are not followed."""

    url: Text = Field(description="One at a server that the operator lists under `[servers]`.")
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = Field(default="GET", description="The method.")
    headers: dict[Text, Text] = Field(
        default={}, description="Headers. `{NAME}` in a value is the secret NAME, if the action lists it under `secrets`."
    )
    body: Text = Field(default="", description="What is sent.")
    status: Annotated[Texts, Field(min_length=1)] = Field(default=("2xx",), description="Good answers: `204`, `2xx`, or a list.")
    contains: Text = Field(default="", description="A text that the answer must hold.")
    answers: dict[Text, Text] = Field(
        default={}, description="Values that the JSON answer must hold, by path: `build.0.state: ready`."
    )
    retries: Annotated[Whole, Field(ge=0, le=100)] = Field(default=0, description="How often it is called again if it is not so.")
    wait: Duration = Field(default=timedelta(seconds=30), description="The most that one call waits for the server to go on.")
    idempotent: Flag = Field(
        default=False,
        description="Whether the server does a POST or PATCH once, however often it comes with the same `Idempotency-Key`: then "
        "one is called again whose answer nobody heard.",
    )

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be called again although nobody knows what a former call did."""
        return self.idempotent or self.method not in UNSAFE


class HttpAction(RemoteAction[HttpOptions]):
    """A Provider. All calls of an attempt have one `Idempotency-Key`, by which a server can tell that one comes again.

    A POST or PATCH whose answer nobody heard, because the agent ended or the line broke, is not called again without a word that
    it may be: Reason.LOST, as nobody knows what became of it.
    """

    Options = HttpOptions
    outputs = ("status", "body")

    def perform(self, attempt: Attempt, context: Context) -> Outcome:
        """See Action. Raises RefusedError, before anything is sent, if the operator does not open the URL to the attempt."""
        context.server(attempt, options_of(attempt, HttpOptions).url)  # masks, before the log of a former worker is said again
        return super().perform(attempt, context)

    def act(self, work: Work, options: HttpOptions) -> Outcome:
        """See RemoteAction."""
        server = work.context.server(work.attempt, options.url)
        headers = _headers(work, options)
        left = iter(range(options.retries, -1, -1))
        once = work.memory.once if options.is_repeatable else work.memory.never_twice

        def look() -> Outcome | None:
            try:
                told = once("told", lambda: msgspec.json.encode(_called(work, server, options, headers)).decode())
            except Unknown as why:
                return failed(f"the {options.method} was sent, and nobody knows what became of it: {why}", reason=Reason.LOST)
            outcome = msgspec.json.decode(told, type=Outcome)
            if outcome.succeeded or not next(left):
                return outcome
            work.memory.put("told", "")
            work.say(f"{outcome.message}; trying again")
            return None

        if not work.memory.get("told"):
            work.check()
        return work.wait(look)


def _headers(work: Work, options: HttpOptions) -> dict[str, str]:
    found = {"Idempotency-Key": work.token, **options.headers}
    directory = work.context.secrets(work.attempt)
    for name in work.attempt.action.secrets if directory else ():
        secret = (directory / name).read_text().strip() if directory else ""
        found = {key: found[key].replace(f"{{{name}}}", secret) if key in options.headers else found[key] for key in found}
    return found


def _called(work: Work, server: Server, options: HttpOptions, headers: dict[str, str]) -> Outcome:
    """What came of one call. Raises Unavailable if it is to be made later."""
    try:
        with server.ask(options.method, options.url, options.body.encode(), headers, options.wait.total_seconds()) as answer:
            said = _read(work, answer)
    except EnvironmentFault as fault:
        if isinstance(fault, Unheard) and not options.is_repeatable:
            raise Unknown(fault.message) from fault
        return failed(fault.message)
    outputs = {"status": str(answer.status), "body": said[:SHOWN]}
    if wrong := _wrong(options, answer.status, said):
        answer.obey()
        return failed(f"{answer.whence} {wrong}", outputs=outputs)
    return succeeded(f"{answer.whence} answers {answer.status}", outputs=outputs)


def _read(work: Work, answer: Answer) -> str:
    data = b""
    for chunk in answer.chunks():
        data += chunk
        if len(data) >= CAP:
            break
        work.check()
    return data[:CAP].decode(errors="replace")


def _wrong(options: HttpOptions, status: int, said: str) -> str:
    if not any(good in {str(status), f"{status // 100}xx"} for good in options.status):
        return f"answers {status}, not {' or '.join(options.status)}: {said[:200]}"
    if options.contains not in said:
        return f"does not say {options.contains!r}"
    for path, wanted in options.answers.items():
        if (value := _at(said, path)) != wanted:
            return f"has {value!r} at {path}, not {wanted!r}"
    return ""


def _at(said: str, path: str) -> str | None:
    """What a JSON text has at a path, a text as it is and all else as JSON; None if there is nothing."""
    try:
        value = json.loads(said)
        for key in path.split("."):
            value = value[int(key)] if isinstance(value, list) else value[key]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return value if isinstance(value, str) else json.dumps(value)
