"""After a crash: remove what no execution in flight needs. What is needed is found again by the actions themselves."""

from agent.config import Config
from agent.errors import AgentError
from agent.git.objects import remove_abandoned
from agent.log import Log
from agent.model.ids import ExecutionId
from agent.worker.performer import Tools


def sweep(tools: Tools, active: frozenset[ExecutionId], now: Config, log: Log) -> None:
    """End and remove jobs, workspaces and control directories of executions that are over.

    They are looked for wherever the executions in flight and those under the configuration of now run.
    """
    remove_abandoned(tools.directories.repository / "objects")
    tools.checkouts.retain(active)
    for executor in tools.executors.all([now, *(tools.terms(execution).config for execution in active)]):
        try:
            for removed in executor.sweep(active):
                log.info("removed what a former worker left", what=removed)
        except AgentError as error:
            log.fault("what a former worker left cannot be looked for", error)
    for name in tools.workspaces.names():
        if _execution(name) not in active:
            _remove_workspace(tools, name, log)
    for attempt in tools.vault.attempts():
        if _execution(attempt) not in active:
            tools.vault.take_away(attempt)
    for directory in tools.directories.executions.glob("*/attempts/*"):
        if _execution(directory.name) not in active:
            tools.directories.remove(directory)


def _remove_workspace(tools: Tools, name: str, log: Log) -> None:
    try:
        tools.workspaces.remove(name)
        log.info("removed what a former worker left", what=f"workspace {name}")
    except AgentError as error:
        log.fault("a workspace cannot be removed", error)


def _execution(attempt: str) -> str:
    """The execution in an attempt's id (model/ids.py)."""
    return attempt.partition("-")[0]
