"""`lambda-invoke`, and the rule `lambda`: call a function and look at its answer (codepipeline.md 1.6, row 68, and 1.8)."""

import base64
import json

from pydantic import Field

from agent.actions.aws.place import AwsAction, AwsOptions
from agent.actions.remote import Work, failed, succeeded
from agent.aws.session import Clients
from agent.definition.values import KeyName, Text
from agent.model.outcome import Outcome

SHOWN = 2000  # characters of an answer


class InvokeOptions(AwsOptions):
    """Which function is called, with what. It must take no longer than a call of Lambda may, 15 minutes."""

    function: Text = Field(description="The name of the function; `name:alias` for one of its versions.")
    payload: dict[KeyName, Text] = Field(default={}, description="What the function gets, as JSON, beside `execution`.")


class InvokeAction(AwsAction[InvokeOptions]):
    """A Provider of an action and of a rule. It fails if the function raises an error, or answers `{"ok": false}`.

    Not started twice by us but for a crash; the function can tell calls apart by `execution.attempt` of its payload.
    Each key of an answer that is a mapping is an output, as far as its value is a text, a number or a flag.
    """

    Options = InvokeOptions

    def act(self, work: Work, options: InvokeOptions, aws: Clients) -> Outcome:
        """See AwsAction."""
        work.check()
        link = f"https://console.aws.amazon.com/lambda/home?region={aws.region}#/functions/{options.function.partition(':')[0]}"
        body = json.dumps({**options.payload, "execution": _about(work)}).encode()
        call = aws("lambda")
        answer = work.patiently(lambda: call("invoke", FunctionName=options.function, Payload=body, LogType="Tail"))
        said = answer["Payload"].read().decode(errors="replace")
        log = work.output("log")
        for line in base64.b64decode(answer.get("LogResult", "")).decode(errors="replace").splitlines():
            log(line)
        if answer.get("FunctionError"):
            return failed(f"{options.function} failed: {said[:SHOWN]}", link)
        outputs = _outputs(said)
        if outputs.get("ok") == "false":
            return failed(f"{options.function} says no: {outputs.get('message', said[:SHOWN])}", link, outputs)
        return succeeded(outputs.get("message") or f"{options.function} has answered", link, outputs)


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
