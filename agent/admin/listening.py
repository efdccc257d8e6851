"""Takes messages from a queue, acts on each, then deletes it: one that was cut short comes again, and starts nothing twice."""

from collections.abc import Callable, Iterator

from agent.admin.outside import Outside
from agent.errors import AgentError, EnvironmentFault
from agent.sources import events
from agent.sources.queue import Message, Queue


def listen(queue: Queue, outside: Outside, say: Callable[[str], None], *, waits: bool, patience: int) -> int:
    """Until nothing has come for `patience` seconds, or with `waits` for ever; how many messages could not be acted on.

    Raises EnvironmentFault if the queue cannot be read.
    """
    failed = 0
    while True:
        messages = queue.receive(patience)
        for message in messages:
            try:
                for line in _act(outside, message):
                    say(line)
            except EnvironmentFault as fault:  # it comes again
                failed += 1
                say(str(fault))
                continue
            except AgentError as error:
                say(f"a message is passed over: {error}")
            queue.delete(message)
        if not messages and not waits:
            return failed


def _act(outside: Outside, message: Message) -> Iterator[str]:
    """A webhook that somebody put into the queue carries its headers as attributes, and `remote`."""
    if remote := message.attributes.get("remote"):
        headers = {name.lower(): value for name, value in message.attributes.items()}
        yield from outside.webhook(remote, headers, message.body.encode())
        return
    found = events.read(message.body)
    if not found:
        yield "a message is passed over: it is of no kind that starts anything"
    for happening in found:
        yield from outside.happened(happening)
