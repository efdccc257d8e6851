"""`cloudformation`: a change set of a stack, shown before it is executed; the stack's outputs (codepipeline.md 1.6, row 65)."""

from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from agent.actions import revision
from agent.actions.aws.place import AwsAction, AwsOptions
from agent.actions.remote import Work, failed, succeeded
from agent.aws.session import AwsFault, Clients, Service
from agent.definition.values import Text, many, problem
from agent.model.outcome import Outcome

LARGEST = 51_200  # bytes of a template in a request
_NOTHING = ("didn't contain changes", "No updates are to be performed")
_Capability = Literal["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


class CloudFormationOptions(AwsOptions):
    """Which stack, and what becomes of it. `plan` makes a change set for people to look at, `execute` carries it out."""

    stack: Text = Field(description="The name of the stack.")
    mode: Literal["deploy", "plan", "execute", "delete"] = Field(
        default="deploy",
        description="Make a change set and execute it; only make it; only execute `change_set`; delete the stack.",
    )
    template: Text = Field(default="", description="The template: a file of the artifacts, or of the commit.")
    change_set: Text = Field(default="", description="With `execute`: the change set of a `plan`, `${{ plan.change_set }}`.")
    parameters: dict[Text, Text] = Field(default={}, description="Parameters of the template.")
    tags: dict[Text, Text] = Field(default={}, description="Tags of the stack.")
    capabilities: Annotated[tuple[_Capability, ...], BeforeValidator(many)] = Field(
        default=(), description="What the template may do, such as CAPABILITY_IAM."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.mode in {"deploy", "plan"}) != bool(self.template):
            raise problem("GP105", "`template` belongs to the modes deploy and plan, which need it")
        if (self.mode == "execute") != bool(self.change_set):
            raise problem("GP105", "`change_set` belongs to the mode execute, which needs it")
        return self


class CloudFormationAction(AwsAction[CloudFormationOptions]):
    """A Provider. The outputs of the stack are its outputs; of `plan`: `change_set`, `changes` and `replacements`."""

    Options = CloudFormationOptions

    def act(self, work: Work, options: CloudFormationOptions, aws: Clients) -> Outcome:
        """See AwsAction."""
        stack = aws("cloudformation", StackName=options.stack)
        link = f"https://console.aws.amazon.com/cloudformation/home?region={aws.region}#/stacks?filteringText={options.stack}"
        name = options.change_set
        if options.mode in {"deploy", "plan"}:
            work.check()
            name = work.once("change set", lambda: _change_set(work, options, stack))
            made = work.wait(lambda: _made(stack, name))
            if made["Status"] == "FAILED":
                return self._refused(work, options, stack, name, str(made.get("StatusReason", "")), link)
            shown = _show(work, made)
            if options.mode == "plan":
                said = f"{shown['changes']} changes of {options.stack}, {shown['replacements']} replacements"
                return succeeded(said, link, shown)
        start = partial(_start, work, options, stack, name)
        status, outputs = work.follow(start, lambda _: _look(work, options, stack), lambda _: _cancel(work, options, stack))
        if status in {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "DELETE_COMPLETE"}:
            return succeeded(f"{options.stack}: {status}", link, outputs)
        return failed(f"{options.stack}: {status}{work.patiently(lambda: _why(stack))}", link)

    def _refused(self, work: Work, options: CloudFormationOptions, stack: Service, name: str, why: str, link: str) -> Outcome:
        work.patiently(lambda: stack("delete_change_set", ChangeSetName=name))
        if not any(words in why for words in _NOTHING):
            return failed(f"no change set for {options.stack}: {why}", link)
        said = {"changes": "0", "replacements": "0"} if options.mode == "plan" else {}
        return succeeded(f"{options.stack}: nothing to change", link, work.patiently(lambda: _state(stack))[1] | said)


def _start(work: Work, options: CloudFormationOptions, stack: Service, name: str, may_run: bool) -> str:
    if options.mode == "delete":
        stack("delete_stack", ClientRequestToken=work.token)
    elif not may_run or stack("describe_change_set", ChangeSetName=name)["ExecutionStatus"] == "AVAILABLE":
        stack("execute_change_set", ChangeSetName=name, ClientRequestToken=work.token)
    return name or "the deletion"


def _cancel(work: Work, options: CloudFormationOptions, stack: Service) -> None:
    """An update goes back; what makes or deletes a stack cannot be cancelled."""
    if _state(stack)[0] == "UPDATE_IN_PROGRESS":
        stack("cancel_update_stack", ClientRequestToken=work.token)
        work.say(f"the update of {options.stack} is cancelled")


def _state(stack: Service) -> tuple[str, dict[str, str]]:
    """The status of the stack and its outputs; one that does not exist is as one that was deleted."""
    try:
        found = stack("describe_stacks")["Stacks"][0]
    except AwsFault as fault:
        if "does not exist" not in fault.message:
            raise
        return "DELETE_COMPLETE", {}
    return found["StackStatus"], {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())}


def _change_set(work: Work, options: CloudFormationOptions, stack: Service) -> str:
    """Made once: a second one of the same name, after a crash, is the first one."""
    name = f"gp-{work.token}"
    is_new = _state(stack)[0] in {"DELETE_COMPLETE", "REVIEW_IN_PROGRESS"}
    try:
        stack(
            "create_change_set",
            ChangeSetName=name,
            ChangeSetType="CREATE" if is_new else "UPDATE",
            TemplateBody=revision.text_of(work, options.template, LARGEST),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in options.parameters.items()],
            Tags=[{"Key": key, "Value": value} for key, value in options.tags.items()],
            Capabilities=list(options.capabilities),
            Description=f"{work.attempt.execution.label} {work.attempt.execution.commit[:12]}",
        )
    except AwsFault as fault:
        if fault.code != "AlreadyExistsException":
            raise
    return name


def _made(stack: Service, name: str) -> dict[str, Any] | None:
    found = stack("describe_change_set", ChangeSetName=name)
    return found if found["Status"] in {"CREATE_COMPLETE", "FAILED"} else None


def _show(work: Work, made: dict[str, Any]) -> dict[str, str]:
    changes = [change["ResourceChange"] for change in made.get("Changes", ()) if "ResourceChange" in change]
    replaced = [change for change in changes if change.get("Replacement", "False") != "False"]
    line = work.output("changes")
    for change in changes:
        more = f", replacement: {change['Replacement']}" if change in replaced else ""
        line(f"{change['Action']} {change['LogicalResourceId']} ({change['ResourceType']}){more}")
    return {"change_set": made["ChangeSetName"], "changes": str(len(changes)), "replacements": str(len(replaced))}


def _look(work: Work, options: CloudFormationOptions, stack: Service) -> tuple[str, dict[str, str]] | None:
    status, outputs = _state(stack)
    work.say(f"{options.stack}: {status}")
    return None if status.endswith("_IN_PROGRESS") else (status, outputs)


def _why(stack: Service) -> str:
    events = stack("describe_stack_events")["StackEvents"]
    bad = [event for event in events if event["ResourceStatus"].endswith("_FAILED") and event.get("ResourceStatusReason")]
    return f" ({bad[-1]['LogicalResourceId']}: {bad[-1]['ResourceStatusReason']})" if bad else ""
