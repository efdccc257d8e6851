"""`lambda-invoke`, and the rule `lambda`: call a function and look at its answer (codepipeline.md 1.6, row 68, and 1.8)."""

import base64
import json
from concurrent.futures import Future, wait
from threading import Thread

from pydantic import Field

from agent.actions.aws.place import AwsAction, AwsOptions
from agent.actions.memory import Unknown
from agent.actions.remote import Work, failed, succeeded
from agent.aws.session import AwsBusy, Clients, Service
from agent.definition.values import KeyName, Text
from agent.model.outcome import Outcome, Reason

SHOWN = 2000  # characters of an answer
LOOK = 0.25  # seconds between looks whether it is to end


class InvokeOptions(AwsOptions):
    """Which function is called, with what. It must take no longer than a call of Lambda may, 15 minutes."""

    function: Text = Field(description="The name of the function; `name:alias` for one of its versions.")
    payload: dict[KeyName, Text] = Field(default={}, description="What the function gets, as JSON, beside `execution`.")


class InvokeAction(AwsAction[InvokeOptions]):
    """A Provider of an action and of a rule. It fails if the function raises an error, or answers `{"ok": false}`.

    The function is called once. Where nobody heard its answer, because the agent ended or the line broke, nobody knows how it
    ended, and it is not called again: Reason.LOST. The function can tell attempts apart by `execution.attempt` of its payload.
    Each key of an answer that is a mapping is an output, as far as its value is a text, a number or a flag.
    """

    Options = InvokeOptions

    def act(self, work: Work, options: InvokeOptions, aws: Clients) -> Outcome:
        """See AwsAction."""
        link = f"https://console.aws.amazon.com/lambda/home?region={aws.region}#/functions/{options.function.partition(':')[0]}"
        if not work.memory.get("heard"):
            work.check()
        try:
            heard = work.memory.never_twice("heard", lambda: _answer(work, options, aws("lambda", is_once=True)))
        except Unknown as why:
            return failed(f"{options.function} was called, and nobody knows how it ended: {why}", link, reason=Reason.LOST)
        said, is_error, log = json.loads(heard)
        line = work.output("log")
        for each in log.splitlines():
            line(each)
        if is_error:
            return failed(f"{options.function} failed: {said[:SHOWN]}", link)
        outputs = _outputs(said)
        if outputs.get("ok") == "false":
            return failed(f"{options.function} says no: {outputs.get('message', said[:SHOWN])}", link, outputs)
        return succeeded(outputs.get("message") or f"{options.function} has answered", link, outputs)


def _answer(work: Work, options: InvokeOptions, service: Service) -> str:
    """What it says, while the work may go on: a function that was called cannot be stopped. Raises Interrupted."""
    body = json.dumps({**options.payload, "execution": _about(work)}).encode()
    heard: Future[str] = Future()

    def call() -> None:
        try:
            heard.set_result(work.patiently(lambda: _call(service, options.function, body)))
        except BaseException as error:
            heard.set_exception(error)

    Thread(target=call, daemon=True).start()  # one that goes on after a stop holds up nobody
    while not wait([heard], LOOK).done:
        work.check()
    return heard.result()


def _call(service: Service, function: str, body: bytes) -> str:
    """The answer, whether it tells an error, and the end of the log."""
    try:
        answer = service.whole("invoke", "Payload", FunctionName=function, Payload=body, LogType="Tail")
    except AwsBusy as fault:
        if fault.code == "TooManyRequestsException":  # it was not called
            raise
        raise Unknown(fault.message) from fault
    log = base64.b64decode(answer.get("LogResult", ""))
    return json.dumps([answer["Payload"].decode(errors="replace"), "FunctionError" in answer, log.decode(errors="replace")])


def _about(work: Work) -> dict[str, object]:
    execution = work.attempt.execution
    return {
        "attempt": work.token,
        "id": execution.id,
        "pipeline": execution.pipeline,
        "number": execution.number,
        "commit": execution.commit,
        "stage": work.attempt.stage.name,
        "action": work.attempt.action.name,
    }


def _outputs(said: str) -> dict[str, str]:
    try:
        answer = json.loads(said)
    except ValueError:
        return {}
    if not isinstance(answer, dict):
        return {}
    plain = {key: value for key, value in answer.items() if isinstance(value, (str, int, float)) and str(key)}
    return {key: json.dumps(value) if isinstance(value, (bool, int, float)) else value for key, value in plain.items()}
