"""The operator's configuration of a repository, as it is now. Light: whoever only asks for it need not load a worker."""

from pathlib import Path

from agent.config import Config, parse
from agent.worker import terms
from agent.worker.places import Directories

SYSTEM_CONFIG = Path("/etc/git-pipeline/config.toml")


def load_config(directories: Directories) -> Config:
    """The operator's configuration as it is now. Raises ConfigError."""
    return parse(terms.read(layers_of(directories)))


def layers_of(directories: Directories) -> tuple[Path, ...]:
    """The files of the configuration, from the weakest to the strongest."""
    return SYSTEM_CONFIG, *directories.configs
