"""Where the operator's secrets come from: the table of sources, each made when first asked for."""

from collections.abc import Callable, Mapping
from pathlib import Path

from agent.aws.session import Sessions
from agent.config import Config
from agent.secrets.base import EnvironmentSource, FileSource, Secrets, SecretSource


def secrets_of(directory: Path, config: Config, environment: Mapping[str, str]) -> Secrets:
    """All secrets of a configuration that stands in this directory."""
    sessions = Sessions()

    def parameters() -> SecretSource:
        from agent.secrets.aws import ParameterSource

        return ParameterSource(sessions)

    def manager() -> SecretSource:
        from agent.secrets.aws import ManagerSource

        return ManagerSource(sessions)

    makers: dict[str, Callable[[], SecretSource]] = {
        "file": lambda: FileSource(directory),
        "environment": lambda: EnvironmentSource(environment),
        "ssm": parameters,
        "secretsmanager": manager,
    }
    return Secrets(config.secrets, makers)
