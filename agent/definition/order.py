"""What comes before what, and what is certain to have been done by then.

An action is certain to have succeeded before another one starts if every chain of events says so:
- in an earlier stage: no condition skips the stage, and the action is neither `when: failure` nor `continue_on_error`;
- in the same stage: a chain of `needs` leads to it, over actions that start only on success.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property

from agent.definition.document import Action, Pipeline, Stage

Spot = tuple[int, int]  # indexes of stage and action


def cycle(needs: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Names that need each other, the first one again at the end; empty if there is no cycle. Unknown names are passed over."""
    done: set[str] = set()
    for start in needs:
        path = [start] if start not in done else []
        ahead = [iter(needs[start])] if path else []
        while path:
            following = next((name for name in ahead[-1] if name in needs and name not in done), None)
            if following in path:
                return (*path[path.index(following) :], following)
            if following is None:
                done.add(path.pop())
                ahead.pop()
            else:
                path.append(following)
                ahead.append(iter(needs[following]))
    return ()


def stage_needs(pipeline: Pipeline) -> dict[str, tuple[str, ...]]:
    """The stages that each stage waits for: those it names, or the one before it in the file."""
    needs: dict[str, tuple[str, ...]] = {}
    before: tuple[str, ...] = ()
    for stage in pipeline.stages:
        needs.setdefault(stage.name, before if stage.needs is None else stage.needs)
        before = (stage.name,)
    return needs


class Order:
    """The order of one pipeline. Broken needs (unknown, cyclic) do no harm here; rules report them."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._stages = _indexes(stage.name for stage in pipeline.stages)

    @cached_property
    def _needs(self) -> dict[str, tuple[str, ...]]:
        return stage_needs(self._pipeline)

    @cached_property
    def _before(self) -> dict[int, frozenset[int]]:
        return {}

    def stages_before(self, stage: int) -> frozenset[int]:
        """Indexes of all stages that have succeeded when this one starts."""
        if stage not in self._before:
            names = _closure(self._pipeline.stages[stage].name, self._needs)
            self._before[stage] = frozenset(self._stages[name] for name in names) - {stage}
        return self._before[stage]

    def doubt(self, producer: Spot, stage: int, action: int | None, after_actions: bool = False) -> str:
        """Why `producer` is not certain to have succeeded when the stage, or an action of it, starts; empty if it is.

        `after_actions` asks about the end of the stage instead, when all its actions have succeeded.
        """
        made = self._pipeline.stages[producer[0]]
        if producer[0] != stage and producer[0] not in self.stages_before(stage):
            return f"stage '{made.name}' does not come before this stage"
        if producer[0] == stage and not after_actions and (action is None or producer[1] not in self._surely(stage, action)):
            return _same_stage(made, producer[1], action)
        return _unsure(made.actions[producer[1]], made if producer[0] != stage else None)

    def _surely(self, stage: int, action: int) -> set[int]:
        """Indexes of the actions of a stage that must have succeeded for this one to start."""
        actions = self._pipeline.stages[stage].actions
        indexes = _indexes(one.name for one in actions)
        found: set[int] = set()
        ahead = [action]
        while ahead:
            current = actions[ahead.pop()]
            if current.when != "success":
                continue
            fresh = {indexes[name] for name in current.needs if name in indexes} - found
            found |= fresh
            ahead.extend(fresh)
        return found - {action}


def _same_stage(stage: Stage, producer: int, action: int | None) -> str:
    name = stage.actions[producer].name
    if producer == action:
        return "an action cannot read what it has yet to write"
    if action is None:
        return f"'{name}' runs in this stage, not before it"
    if stage.actions[action].when != "success":
        return f"with `when: {stage.actions[action].when}` this action also starts if '{name}' has not succeeded"
    return f"'{name}' runs beside this action; `needs: [{name}]` would make it wait"


def _unsure(action: Action, stage: Stage | None) -> str:
    """Why an action may not have succeeded although its stage has."""
    if action.when == "failure":
        return f"'{action.name}' runs only when something has failed"
    if action.continue_on_error:
        return f"'{action.name}' may fail (`continue_on_error`)"
    entry = stage.conditions.before_entry if stage else None
    if stage and entry and entry.result == "skip":
        return f"stage '{stage.name}' may be skipped by its condition before entry"
    return ""


def _closure(start: str, needs: Mapping[str, tuple[str, ...]]) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        fresh = {name for name in needs[ahead.pop()] if name in needs} - found
        found |= fresh
        ahead.extend(fresh)
    return found


def _indexes(names: Iterable[str]) -> dict[str, int]:
    """Index by name; of two equal names the first."""
    indexes: dict[str, int] = {}
    for index, name in enumerate(names):
        indexes.setdefault(name, index)
    return indexes
