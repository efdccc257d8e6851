"""The verdict on the pipeline files that a push brings. A `.pipeline/` tree is read once; then its verdict stands in the state.

The hooks import this. What reads YAML is imported only for a tree that nobody has judged before.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from agent.errors import DefinitionError
from agent.git.command import Git
from agent.git.tree import definition_trees, listing
from agent.model.push import RefUpdate
from agent.model.trigger import Entry, Patterns, PushTrigger, ScheduleTrigger, Variable
from agent.state.database import Database
from agent.state.verdicts import Verdict, Verdicts

# The packages that a verdict depends on.
_READERS = (
    "",
    "model",
    "definition",
    "definition/rules",
    "definition/buildspec",
    "graph",
    "plan",
    "deploy",
    "actions",
    "actions/aws",
)
Trees = Mapping[str, str]  # as agent.git.tree.definition_trees returns them
NOTHING = Verdict(True, "[]")  # on a commit without pipeline files
_SHOWN = 5  # broken trees of one push that are explained in full


def judge(git: Git, database: Database | None, updates: Iterable[RefUpdate], trees: Trees | None = None) -> str:
    """Why a push cannot be accepted: every mistake in every pipeline file it brings; empty if there is none.

    Without a database nothing is cached. `trees` saves a call of git if they are known. Raises EnvironmentFault if git or the
    database fails.
    """
    moved = [update for update in updates if (update.branch or update.tag) and not update.is_deletion]
    if trees is None:
        trees = definition_trees(git, [update.new for update in moved])
    judged = Judged(git, database)
    broken: dict[str, list[str]] = {}
    for update in moved:
        found = judged.of(trees.get(update.new, ""), update.new)
        if not found.ok:
            broken.setdefault(found.body, []).append(update.branch or update.tag)
    parts = [f"the pipeline files of {_listed(refs)} are wrong:\n{text}" for text, refs in list(broken.items())[:_SHOWN]]
    if len(broken) > _SHOWN:
        parts.append(f"and those of {len(broken) - _SHOWN} more commits")
    return "\n\n".join(parts)


class Judged:
    """The verdicts of one push, or of one look at the refs: each tree is asked for once."""

    def __init__(self, git: Git, database: Database | None) -> None:
        self._git = git
        self._database = database
        self._known: dict[str, Verdict] = {"": NOTHING}

    def of(self, tree: str, commit: str) -> Verdict:
        """What is known of the pipeline files of a commit whose `.pipeline/` is `tree`, or found out now."""
        found = self._known.get(tree)
        if found is None:
            found = verdict(self._git, self._database, tree, commit)
            if not found.outside:
                self._known[tree] = found
        return found


def verdict(git: Git, database: Database | None, tree: str, commit: str) -> Verdict:
    """What is known of the pipeline files of a commit, or found out now. Raises EnvironmentFault if git or the database fails.

    `tree` is the id of its `.pipeline/`. One that names files outside, such as buildspecs, is judged with each version of them.
    """
    if database is None:
        return _read(git, commit)
    verdicts = Verdicts(database)
    key = _key(git, tree, "", ())
    found = verdicts.get(key)
    if found and found.outside:
        found = verdicts.get(_key(git, tree, commit, found.outside))
    if found is None:
        found = _read(git, commit)
        if found.outside:
            verdicts.put(key, Verdict(True, "[]", found.outside))
            key = _key(git, tree, commit, found.outside)
        verdicts.put(key, found)
    return found


def _key(git: Git, tree: str, commit: str, outside: tuple[str, ...]) -> str:
    if not outside:
        return f"{tree}:{version()}"
    return f"{tree}:{version()}:{listing(git, commit, outside).decode(errors='backslashreplace')}"


def entries(found: Verdict) -> tuple[Entry, ...]:
    """What a sound tree means for triggers; nothing if it is broken."""
    return tuple(_entry(fields) for fields in json.loads(found.body)) if found.ok else ()


def entry_of(git: Git, database: Database, commit: str, pipeline: str) -> Entry | None:
    """What a pipeline of a commit means for triggers; None if the commit has no such pipeline, or its files are wrong."""
    tree = definition_trees(git, [commit]).get(commit)
    found = entries(verdict(git, database, tree, commit)) if tree else ()
    return next((entry for entry in found if entry.pipeline == pipeline), None)


def _read(git: Git, commit: str) -> Verdict:
    find_packages()
    from agent.definition.load import load  # 60 ms of YAML and pydantic
    from agent.deploy.appspec import complete
    from agent.git.tree import CommitTree

    tree = CommitTree(git, commit)
    found = complete(load(tree), tree)
    try:
        return Verdict(True, json.dumps(found.entries), found.outside)
    except DefinitionError as error:
        return Verdict(False, str(error), found.outside)


def find_packages() -> None:
    """The shims start Python without site-packages (-S), which saves every push milliseconds; YAML and pydantic are there."""
    if "site" not in sys.modules:
        import site

        site.main()


def _entry(fields: list[Any]) -> Entry:
    pipeline, mode, pushes, schedules, variables = fields
    return Entry(
        pipeline,
        mode,
        tuple(PushTrigger(*(None if part is None else _patterns(part) for part in push)) for push in pushes),
        tuple(ScheduleTrigger(*schedule) for schedule in schedules),
        tuple(Variable(name, default, text, tuple(choices)) for name, default, text, choices in variables),
    )


def _patterns(part: list[list[str]]) -> Patterns:
    include, exclude = part
    return Patterns(tuple(include), tuple(exclude))


@cache
def version() -> str:
    """Names the code that judges, by its files: another version of it judges anew."""
    import agent

    root = os.path.dirname(agent.__file__)  # noqa: PTH120 - pathlib costs a push milliseconds
    newest, size = 0, 0
    for package in _READERS:
        with os.scandir(f"{root}/{package}") as files:
            for file in files:
                if file.name.endswith(".py"):
                    newest, size = max(newest, file.stat().st_mtime_ns), size + file.stat().st_size
    return f"{newest:x}.{size:x}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
