"""`step-functions`: an execution of a state machine (codepipeline.md 1.6, row 69)."""

import json
from typing import Any, Self

from pydantic import Field, model_validator

from agent.actions import revision
from agent.actions.aws.place import AwsAction, AwsOptions
from agent.actions.remote import Work, failed, succeeded
from agent.aws.session import AwsFault, Clients, Service
from agent.definition.references import OPENING
from agent.definition.values import Text, problem
from agent.model.outcome import Outcome, Reason

LARGEST = 262_144  # bytes of an input


class StepFunctionsOptions(AwsOptions):
    """Which state machine runs, with what."""

    state_machine: Text = Field(description="The ARN of the state machine.")
    input: Text = Field(default="", description="Its input, as JSON text. Default: an empty object.")
    input_file: Text = Field(default="", description="A file with the input, in the artifacts or the commit.")

    @model_validator(mode="after")
    def _one_input(self) -> Self:
        if self.input and self.input_file:
            raise problem("GP105", "the input is either `input` or `input_file`")
        if self.input and OPENING not in self.input:
            try:
                json.loads(self.input)
            except ValueError as error:
                raise problem("GP103", f"`input` is not JSON: {error}") from None
        return self


class StepFunctionsAction(AwsAction[StepFunctionsOptions]):
    """A Provider. Its outputs are `execution`, the ARN, `output`, the JSON, and each plain value at the top of that."""

    Options = StepFunctionsOptions

    def act(self, work: Work, options: StepFunctionsOptions, aws: Clients) -> Outcome:
        """See AwsAction."""
        steps = aws("stepfunctions")
        ended = work.follow(
            lambda _: _start(work, options, steps),
            lambda arn: _look(work, steps, arn, aws.region),
            lambda arn: steps("stop_execution", executionArn=arn, cause=f"{work.attempt.execution.label} was stopped"),
        )
        arn, link = ended["executionArn"], _link(ended["executionArn"], aws.region)
        if ended["status"] == "SUCCEEDED":
            output = ended.get("output") or "{}"
            return succeeded(f"{ended['name']} has succeeded", link, {**_plain(output), "execution": arn, "output": output})
        why = ": ".join(part for part in (ended.get("error"), ended.get("cause")) if part)
        reason = Reason.TIMEOUT if ended["status"] == "TIMED_OUT" else Reason.EXIT
        return failed(f"{ended['name']}: {ended['status']}" + (f" ({why})" if why else ""), link, {"execution": arn}, reason)


def _start(work: Work, options: StepFunctionsOptions, steps: Service) -> str:
    """The same name with the same input is the same execution, but for one that has ended: then the name is taken, by us."""
    text = options.input or (revision.text_of(work, options.input_file, LARGEST) if options.input_file else "{}")
    name = work.token[-80:]
    try:
        arn: str = steps("start_execution", stateMachineArn=options.state_machine, name=name, input=text)["executionArn"]
    except AwsFault as fault:
        if fault.code != "ExecutionAlreadyExists":
            raise
        *place, _, machine = options.state_machine.split(":")[:7]  # behind it may stand a version
        return ":".join([*place, "execution", machine, name])
    return arn


def _look(work: Work, steps: Service, arn: str, region: str) -> dict[str, Any] | None:
    found = steps("describe_execution", executionArn=arn)
    work.once("link", lambda: _link(arn, region))
    work.say(f"{found['name']}: {found['status']}")
    return found if found["status"] not in {"RUNNING", "PENDING_REDRIVE"} else None


def _plain(output: str) -> dict[str, str]:
    try:
        values = json.loads(output)
    except ValueError:
        return {}
    if not isinstance(values, dict):
        return {}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items() if _is_plain(value)}


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, int, float)) or value is None


def _link(arn: str, region: str) -> str:
    return f"https://console.aws.amazon.com/states/home?region={region}#/v2/executions/details/{arn}"
