"""The plan of a queued execution: the same code that judged the push reads its pipeline again (DESIGN.md 4, promise 3).

What reads YAML and orders stages is half of what a worker loads: one that only goes on with what is planned does without it.
"""

from collections import OrderedDict

import msgspec

from agent.errors import RefusedError
from agent.execution.control import rollback_plan
from agent.git.command import Git
from agent.git.tree import CommitTree, definition_trees
from agent.model.execution import Execution
from agent.model.plan import Plan
from agent.state.queue import Queue

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from agent.definition.load import Loaded

KEPT = 8  # definitions kept in memory; a queue of a thousand executions has few different ones


class Planner:
    """Makes plans; keeps the last definitions it read, by the id of their tree."""

    def __init__(self, git: Git, queue: Queue) -> None:
        self._git = git
        self._queue = queue
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()

    def plan(self, execution: Execution) -> Plan:
        """The plan of an execution. Raises RefusedError if its commit or its pipeline is not there (any more)."""
        if execution.rollback:
            return rollback_plan(self.stored(execution.rollback.target), execution.rollback.stage)
        tree = definition_trees(self._git, [execution.commit]).get(execution.commit, "")
        if not tree:
            raise RefusedError(f"commit {execution.commit} has no .pipeline directory, or is gone from the repository")
        from agent.plan.build import build

        loaded = self._read(tree, execution.commit)
        if loaded.diagnostics:
            raise RefusedError(f"the pipeline files of commit {execution.commit} are wrong:\n{loaded.report}")
        for pipeline in loaded.pipelines:
            if pipeline.name == execution.pipeline:
                return build(pipeline, execution.variables, tree)
        raise RefusedError(f"commit {execution.commit} has no pipeline {execution.pipeline}")

    def stored(self, execution: str) -> Plan:
        """The plan that an execution ran with. Raises RefusedError if it is not kept any more."""
        body = self._queue.plan(execution)
        if body is None:
            raise RefusedError(f"the plan of execution {execution} is not kept any more, so it cannot be run again")
        return msgspec.json.decode(body, type=Plan)

    def _read(self, tree: str, commit: str) -> "Loaded":
        """Kept under the tree, or where buildspecs outside of it belong to it, under the commit."""
        from agent.definition.load import load

        key = commit if commit in self._loaded else tree
        if key not in self._loaded:
            loaded = load(CommitTree(self._git, commit))
            key = commit if loaded.buildspecs else tree
            self._loaded[key] = loaded
            if len(self._loaded) > KEPT:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        return self._loaded[key]
