"""What an execution tells the outside: one value an event, made when it is journalled, of nothing but what the record may say."""

from datetime import datetime

from agent.model.execution import Execution
from agent.model.outcome import Status
from agent.model.value import Value

# our short name -> the id of CodePipeline's notification rules (codepipeline.md 2.8); a stop has none of its own there
EVENTS = {
    "execution.started": "codepipeline-pipeline-pipeline-execution-started",
    "execution.resumed": "codepipeline-pipeline-pipeline-execution-resumed",
    "execution.stopping": "",
    "execution.succeeded": "codepipeline-pipeline-pipeline-execution-succeeded",
    "execution.failed": "codepipeline-pipeline-pipeline-execution-failed",
    "execution.stopped": "codepipeline-pipeline-pipeline-execution-canceled",
    "execution.superseded": "codepipeline-pipeline-pipeline-execution-superseded",
    "stage.started": "codepipeline-pipeline-stage-execution-started",
    "stage.resumed": "codepipeline-pipeline-stage-execution-resumed",
    "stage.succeeded": "codepipeline-pipeline-stage-execution-succeeded",
    "stage.failed": "codepipeline-pipeline-stage-execution-failed",
    "stage.stopped": "codepipeline-pipeline-stage-execution-canceled",
    "action.started": "codepipeline-pipeline-action-execution-started",
    "action.succeeded": "codepipeline-pipeline-action-execution-succeeded",
    "action.failed": "codepipeline-pipeline-action-execution-failed",
    "action.stopped": "codepipeline-pipeline-action-execution-canceled",
    "approval.needed": "codepipeline-pipeline-manual-approval-needed",
    "approval.succeeded": "codepipeline-pipeline-manual-approval-succeeded",
    "approval.failed": "codepipeline-pipeline-manual-approval-failed",
}
MESSAGE = "message.sent"  # said by a pipeline itself (`uses: notify`); no rule asks for it


class Failure(Value, frozen=True, kw_only=True):
    """An action that failed, and why."""

    stage: str
    action: str
    message: str = ""


class Question(Value, frozen=True, kw_only=True):
    """What people are asked to decide."""

    message: str = ""
    url: str = ""
    token: str = ""  # names the question; it is no secret, as an answer is a signed tag
    deadline: datetime | None = None


class Notice(Value, frozen=True, kw_only=True):
    """One event that may be told. `id` is the same at every delivery, so a receiver can tell a repetition."""

    id: str
    event: str  # a key of EVENTS, or MESSAGE
    at: datetime
    execution: Execution
    started_at: datetime | None = None
    status: Status  # of what the event is about: the execution, the stage or the action
    stage: str = ""
    action: str = ""
    provider: str = ""  # of the action: run, deploy, approval, or the name of a provider
    attempt: int = 1
    message: str = ""
    subject: str = ""  # of a message
    lines: tuple[str, ...] = ()  # what a pusher reads of it
    failures: tuple[Failure, ...] = ()
    question: Question | None = None
    artifacts: tuple[str, ...] = ()  # names of those that the action made
    link: str = ""  # where the action's work is seen elsewhere
