"""Where things stand under `<repo>.git/pipeline/` (agent/README.md)."""

import shutil
from pathlib import Path

from agent.model.ids import ExecutionId


class Directories:
    """The paths of one repository's state; nothing is created here."""

    def __init__(self, repository: Path, given: Path | None = None) -> None:
        """`given` is an operator's file that stands elsewhere."""
        self.repository = repository
        self.root = repository / "pipeline"
        self.configs = (*((given,) if given else ()), self.root / "config.toml")  # from the weakest to the strongest
        self.named_from = self.configs[0].parent  # where relative paths in the operator's file begin
        self.executions = self.root / "executions"
        self.checkouts = self.root / "checkouts"
        self.artifacts = self.root / "artifacts"
        self.caches = self.root / "cache"
        self.workspaces = self.root / "workspaces"

    def execution(self, execution: ExecutionId) -> Path:
        return self.executions / execution

    def logs(self, execution: ExecutionId) -> Path:
        return self.execution(execution) / "logs"

    def log(self, execution: ExecutionId, attempt: str) -> Path:
        return self.logs(execution) / f"{attempt}.log"

    def control(self, execution: ExecutionId, attempt: str) -> Path:
        return self.execution(execution) / "attempts" / attempt

    def remove(self, directory: Path) -> None:
        """Delete a directory of ours and all in it, as far as that goes; nothing outside the root."""
        assert directory.is_relative_to(self.root), directory
        shutil.rmtree(directory, ignore_errors=True)
