"""The root of all errors that a person reads.

AgentError                  a problem the reader can act on: what, where, what to do next
├── UsageError              the command line or a push option is wrong
├── DefinitionError         the pushed pipeline is wrong (carries rendered diagnostics)
├── ConfigError             the operator's config.toml is wrong
├── RefusedError            policy or state says no
└── EnvironmentFault        git, Docker, a host or the disk does not do what it should
    └── Unavailable         it did not answer, or asks to wait: the same may well do later

Raised near the cause; printed only by `cli/main.py` and the two hooks. Everything else that is raised is a bug of ours.
"""


class AgentError(Exception):
    """A problem with a message for its reader, a hint what to do next, and the exit code of the command."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class UsageError(AgentError):
    """The command line or a push option is wrong."""

    exit_code = 2


class DefinitionError(AgentError):
    """The pipeline files of a commit are wrong; the message holds every diagnostic, rendered."""


class ConfigError(AgentError):
    """The operator's configuration is wrong."""


class RefusedError(AgentError):
    """Policy, or the state of an execution, does not allow what was asked."""


class EnvironmentFault(AgentError):
    """Something around us (git, Docker, a host, the disk) does not do what it should."""

    exit_code = 3


class Unavailable(EnvironmentFault):
    """It did not answer, or asks to wait: asked again later, after so many seconds if it said so, the same may well do."""

    def __init__(self, message: str, *, hint: str = "", after: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.after = after
