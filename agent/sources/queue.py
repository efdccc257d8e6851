"""A queue of SQS, read by long polls."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from agent.aws.session import Clients, Identity, Service, Sessions

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
        self._sqs = _service(settings, sessions)

    def receive(self, wait: int = LONGEST) -> tuple[Message, ...]:
        """Up to ten messages; none if there were none in `wait` seconds."""
        answer = self._sqs(
            "receive_message",
            MaxNumberOfMessages=10,
            WaitTimeSeconds=wait,
            VisibilityTimeout=HIDDEN,
            MessageAttributeNames=["All"],
        )
        return tuple(_message(each) for each in answer.get("Messages", ()))

    def delete(self, message: Message) -> None:
        """It was acted on."""
        self._sqs("delete_message", ReceiptHandle=message.receipt)


def _service(settings: "Listen", sessions: Sessions) -> Service:
    parts = (urlsplit(settings.queue).hostname or "").split(".")
    region = parts[1] if parts[0] == "sqs" and len(parts) > 2 else settings.region
    aws = Clients(sessions, Identity(settings.role, settings.external_id), region)
    return aws("sqs", about=f"queue {settings.queue}", QueueUrl=settings.queue)


def _message(said: Mapping[str, Any]) -> Message:
    attributes = {
        name: value["StringValue"] for name, value in said.get("MessageAttributes", {}).items() if "StringValue" in value
    }
    return Message(said["Body"], attributes, said["ReceiptHandle"])
