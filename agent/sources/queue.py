"""A queue of SQS, read by long polls."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from agent.aws.session import Identity, Sessions

if TYPE_CHECKING:
    from agent.settings import Listen  # pydantic, and the command line asks here how long a poll may be

LONGEST = 20  # seconds of a poll; SQS allows no more
HIDDEN = 300  # seconds in which we act on a message, until it is shown to others again


class Message(NamedTuple):
    """One message; it comes again unless it is deleted."""

    body: str
    attributes: Mapping[str, str]
    receipt: str


class Queue:
    """The queue of the configuration. Each method raises EnvironmentFault."""

    def __init__(self, settings: "Listen", sessions: Sessions) -> None:
        self._settings = settings
        self._sessions = sessions

    def receive(self, wait: int = LONGEST) -> tuple[Message, ...]:
        """Up to ten messages; none if there were none in `wait` seconds."""
        with self._said():
            answer = self._client().receive_message(
                QueueUrl=self._settings.queue,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=wait,
                VisibilityTimeout=HIDDEN,
                MessageAttributeNames=["All"],
            )
        return tuple(_message(each) for each in answer.get("Messages", ()))

    def delete(self, message: Message) -> None:
        """It was acted on."""
        with self._said():
            self._client().delete_message(QueueUrl=self._settings.queue, ReceiptHandle=message.receipt)

    def _client(self) -> Any:  # noqa: ANN401 - boto3 makes clients at run time
        parts = (urlsplit(self._settings.queue).hostname or "").split(".")
        region = parts[1] if parts[0] == "sqs" and len(parts) > 2 else self._settings.region
        return self._sessions.client_of("sqs", Identity(self._settings.role, self._settings.external_id), region)

    def _said(self) -> Any:  # noqa: ANN401 - a context manager of the sessions
        return self._sessions.said(f"queue {self._settings.queue}")


def _message(said: Mapping[str, Any]) -> Message:
    attributes = {
        name: value["StringValue"] for name, value in said.get("MessageAttributes", {}).items() if "StringValue" in value
    }
    return Message(said["Body"], attributes, said["ReceiptHandle"])
