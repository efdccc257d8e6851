"""The contract of those who tell the outside, what they are told to use, and which notice goes where."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from agent.aws.session import Sessions
from agent.config import Config
from agent.errors import EnvironmentFault
from agent.model.glob import matches
from agent.model.notice import Notice
from agent.settings import CommitStatus, Mail, Notify

TIMEOUT = 20.0  # seconds that one delivery may take


class NotDelivered(EnvironmentFault):
    """The other side did not take a notice. `refused`: it never will; `after`: seconds that it asks to be left alone."""

    def __init__(self, message: str, *, hint: str = "", refused: bool = False, after: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.refused = refused
        self.after = after


class Notifier(Protocol):
    """Tells one destination. Called from one thread at a time."""

    def send(self, notice: Notice) -> None:
        """Deliver; returns once the other side has it. The same notice may come again, with the same id.

        Takes no longer than some TIMEOUT seconds. Raises EnvironmentFault, NotDelivered where more is known.
        """


@dataclass(frozen=True, kw_only=True)
class Means:
    """What notifiers may use."""

    sessions: Sessions
    secret: Callable[[str], bytes]  # by name; raises EnvironmentFault
    mail: Mail
    link: str = ""  # a template: where people see an execution's commit
    environment: Mapping[str, str] = field(default_factory=dict)  # for programs that are started

    def link_of(self, notice: Notice) -> str:
        """Where people see what the notice is about; empty if the operator named no place."""
        execution = notice.execution
        values = {name: str(getattr(execution, name)) for name in ("id", "pipeline", "number", "commit", "ref")}
        link = self.link
        for name, value in values.items():
            link = link.replace(f"{{{name}}}", value)
        return link

    def url(self, given: str) -> str:
        """A URL as the configuration has it: itself, or the name of the secret that holds it."""
        return given if given.startswith(("http://", "https://")) else self.secret(given).decode().strip()


class Target(NamedTuple):
    """A destination of the configuration, and what it wants to hear. `key` names it in the state, over restarts."""

    kind: str
    address: str
    rule: Notify | CommitStatus

    @property
    def key(self) -> str:
        return f"{self.kind} {self.address}"

    def wants(self, notice: Notice) -> bool:
        rule, execution = self.rule, notice.execution
        return (
            notice.event in rule.wanted
            and any(matches(pattern, execution.pipeline) for pattern in rule.pipelines)
            and any(matches(pattern, name) for pattern in rule.refs for name in _names(execution.ref))
        )


def targets(config: Config) -> tuple[Target, ...]:
    """The destinations of a configuration, in its order."""
    rules: tuple[Notify | CommitStatus, ...] = (*config.notify, *config.status)
    return tuple(target_of(rule) for rule in rules)


def target_of(rule: Notify | CommitStatus) -> Target:
    """The destination of one rule."""
    return Target(rule.kind, rule.address, rule)


def route(known: tuple[Target, ...], notice: Notice) -> Iterator[str]:
    """The keys of the destinations that a notice goes to, each once."""
    yield from dict.fromkeys(target.key for target in known if target.wants(notice))


def _names(ref: str) -> tuple[str, ...]:
    return ref, ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
