"""`cloudformation`: a change set of a stack, shown before it is executed; the stack's outputs (codepipeline.md 1.6, row 65)."""

from collections.abc import Callable
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
        stacks = aws("cloudformation")
        link = f"https://console.aws.amazon.com/cloudformation/home?region={aws.region}#/stacks?filteringText={options.stack}"
        if options.mode == "delete":
            return self._ended(work, options, stacks, link, lambda _: _delete(work, options, stacks))
        shown: dict[str, str] = {}
        name = options.change_set
        if options.mode != "execute":
            work.check()
            name = work.once("change set", lambda: _change_set(work, options, stacks))
            made = work.wait(lambda: _made(stacks, options, name))
            if made["Status"] == "FAILED":
                return self._refused(options, stacks, name, str(made.get("StatusReason", "")), link)
            shown = _show(work, options, made)
            if options.mode == "plan":
                said = f"{shown['changes']} changes of {options.stack}, {shown['replacements']} replacements"
                return succeeded(said, link, shown)
        return self._ended(work, options, stacks, link, lambda may_run: _execute(work, options, stacks, name, may_run))

    def _ended(
        self, work: Work, options: CloudFormationOptions, stacks: Service, link: str, start: Callable[[bool], str]
    ) -> Outcome:
        look, cancel = (lambda _: _look(work, stacks, options)), (lambda _: _cancel(work, options, stacks))
        status, stack = work.follow(start, look, cancel)
        if status in {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "DELETE_COMPLETE"}:
            outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())}
            return succeeded(f"{options.stack}: {status}", link, outputs)
        return failed(f"{options.stack}: {status}{_why(stacks, options)}", link)

    def _refused(self, options: CloudFormationOptions, stacks: Service, name: str, why: str, link: str) -> Outcome:
        stacks("delete_change_set", StackName=options.stack, ChangeSetName=name)
        if not any(words in why for words in _NOTHING):
            return failed(f"no change set for {options.stack}: {why}", link)
        outputs = {each["OutputKey"]: each["OutputValue"] for each in _stack(stacks, options).get("Outputs", ())}
        said = {"changes": "0", "replacements": "0"} if options.mode == "plan" else {}
        return succeeded(f"{options.stack}: nothing to change", link, outputs | said)


def _delete(work: Work, options: CloudFormationOptions, stacks: Service) -> str:
    stacks("delete_stack", StackName=options.stack, ClientRequestToken=work.token)
    return "the deletion"


def _execute(work: Work, options: CloudFormationOptions, stacks: Service, name: str, may_run: bool) -> str:
    about = {"StackName": options.stack, "ChangeSetName": name}
    if not may_run or stacks("describe_change_set", **about)["ExecutionStatus"] == "AVAILABLE":
        stacks("execute_change_set", ClientRequestToken=work.token, **about)
    return name


def _cancel(work: Work, options: CloudFormationOptions, stacks: Service) -> None:
    """An update goes back; what makes or deletes a stack cannot be cancelled."""
    if _stack(stacks, options).get("StackStatus") == "UPDATE_IN_PROGRESS":
        stacks("cancel_update_stack", StackName=options.stack, ClientRequestToken=work.token)
        work.say(f"the update of {options.stack} is cancelled")


def _stack(stacks: Service, options: CloudFormationOptions) -> dict[str, Any]:
    """The stack; empty if there is none."""
    try:
        found: dict[str, Any] = stacks("describe_stacks", StackName=options.stack)["Stacks"][0]
    except AwsFault as fault:
        if "does not exist" not in fault.message:
            raise
        return {}
    return found


def _change_set(work: Work, options: CloudFormationOptions, stacks: Service) -> str:
    """Made once: a second one of the same name, after a crash, is the first one."""
    name = f"gp-{work.token}"
    is_new = _stack(stacks, options).get("StackStatus", "REVIEW_IN_PROGRESS") == "REVIEW_IN_PROGRESS"
    try:
        stacks(
            "create_change_set",
            StackName=options.stack,
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


def _made(stacks: Service, options: CloudFormationOptions, name: str) -> dict[str, Any] | None:
    found = stacks("describe_change_set", StackName=options.stack, ChangeSetName=name)
    return found if found["Status"] in {"CREATE_COMPLETE", "FAILED"} else None


def _show(work: Work, options: CloudFormationOptions, made: dict[str, Any]) -> dict[str, str]:
    changes = [change["ResourceChange"] for change in made.get("Changes", ()) if "ResourceChange" in change]
    line = work.output("changes")
    for change in changes:
        replaced = f", replacement: {change['Replacement']}" if change.get("Replacement", "False") != "False" else ""
        line(f"{change['Action']} {change['LogicalResourceId']} ({change['ResourceType']}){replaced}")
    replacements = sum(change.get("Replacement", "False") != "False" for change in changes)
    return {"change_set": made["ChangeSetName"], "changes": str(len(changes)), "replacements": str(replacements)}


def _look(work: Work, stacks: Service, options: CloudFormationOptions) -> tuple[str, dict[str, Any]] | None:
    stack = _stack(stacks, options)
    status: str = stack.get("StackStatus", "DELETE_COMPLETE")
    work.say(f"{options.stack}: {status}")
    return None if status.endswith("_IN_PROGRESS") else (status, stack)


def _why(stacks: Service, options: CloudFormationOptions) -> str:
    events = stacks("describe_stack_events", StackName=options.stack)["StackEvents"]
    bad = [event for event in events if event["ResourceStatus"].endswith("_FAILED") and event.get("ResourceStatusReason")]
    return f" ({bad[-1]['LogicalResourceId']}: {bad[-1]['ResourceStatusReason']})" if bad else ""
