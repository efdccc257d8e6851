"""The verdict on the pipeline files that a push brings. A `.pipeline/` tree is read once; then its verdict stands in the state.

The hooks import this. What reads YAML is imported only for a tree that nobody has judged before.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from agent.errors import DefinitionError
from agent.git.command import Git
from agent.git.tree import definition_trees
from agent.model.push import RefUpdate
from agent.model.trigger import Entry, Patterns, PushTrigger, ScheduleTrigger, Variable
from agent.state.database import Database
from agent.state.verdicts import Verdict, Verdicts

# the packages that a verdict depends on
_READERS = ("", "model", "definition", "definition/rules", "graph", "plan", "deploy", "actions", "actions/aws")
Trees = Mapping[str, str]  # as agent.git.tree.definition_trees returns them
_LARGEST = 1 << 20  # bytes of an appspec.yml
_SHOWN = 5  # broken trees of one push that are explained in full


def judge(git: Git, database: Database | None, updates: Iterable[RefUpdate], trees: Trees | None = None) -> str:
    """Why a push cannot be accepted: every mistake in every pipeline file it brings; empty if there is none.

    Without a database nothing is cached. `trees` saves a call of git if they are known. Raises EnvironmentFault if git or the
    database fails.
    """
    moved = [update for update in updates if (update.branch or update.tag) and not update.is_deletion]
    if trees is None:
        trees = definition_trees(git, [update.new for update in moved])
    refs: dict[str, list[RefUpdate]] = {}
    for update in moved:
        if tree := trees.get(update.new):
            refs.setdefault(tree, []).append(update)
    broken: dict[str, list[str]] = {}
    for tree, updates_of in refs.items():
        found = verdict(git, database, tree)
        if not found.ok:
            broken[found.body] = [_name(update) for update in updates_of]
            continue
        for name, text in _lacking(git, database, found, updates_of):
            broken.setdefault(text, []).append(name)
    parts = [f"the pipeline files of {_listed(names)} are wrong:\n{text}" for text, names in list(broken.items())[:_SHOWN]]
    if len(broken) > _SHOWN:
        parts.append(f"and those of {len(broken) - _SHOWN} more commits")
    return "\n\n".join(parts)


def _name(update: RefUpdate) -> str:
    return update.branch or update.tag


def _lacking(git: Git, database: Database | None, found: Verdict, updates: list[RefUpdate]) -> Iterator[tuple[str, str]]:
    """Refs whose commits lack a file that their pipelines deploy by, or have a wrong one, and what is wrong."""
    needed: list[tuple[str, str]] = json.loads(found.body)["needed"]
    if not needed:
        return
    asked = [(update, path, missing) for update in updates for path, missing in needed]
    said = git.run("cat-file", "--batch-check", stdin="".join(f"{one.new}:{path}\n" for one, path, _ in asked).encode())
    for (update, path, missing), line in zip(asked, said.split(b"\n"), strict=False):
        oid, _, kind = line.decode(errors="replace").partition(" ")
        if not kind.startswith("blob "):
            yield _name(update), missing
        elif int(kind[5:]) > _LARGEST:
            yield _name(update), f"{path}: the file has {int(kind[5:]):,} bytes; at most {_LARGEST:,} are read"
        elif not (judged := _appspec(git, database, path, oid)).ok:
            yield _name(update), judged.body


def _appspec(git: Git, database: Database | None, path: str, oid: str) -> Verdict:
    def find() -> Verdict:
        find_packages()
        from agent.deploy.appspec import AppSpecError, parse

        try:
            parse(path, git.run("cat-file", "blob", oid))
        except AppSpecError as error:
            return Verdict(False, str(error))
        return Verdict(True, "")

    return _known(database, f"{oid} {path}", find)


def verdict(git: Git, database: Database | None, tree: str) -> Verdict:
    """What is known of a `.pipeline/` tree, or found out now. Raises EnvironmentFault if git or the database fails."""
    return _known(database, tree, lambda: _read(git, tree))


def _known(database: Database | None, name: str, find: Callable[[], Verdict]) -> Verdict:
    if database is None:
        return find()
    verdicts = Verdicts(database)
    key = f"{name}:{version()}"
    found = verdicts.get(key)
    if found is None:
        found = find()
        verdicts.put(key, found)
    return found


def entries(found: Verdict) -> tuple[Entry, ...]:
    """What a sound tree means for triggers; nothing if it is broken."""
    return tuple(_entry(fields) for fields in json.loads(found.body)["entries"]) if found.ok else ()


def _read(git: Git, tree: str) -> Verdict:
    find_packages()
    from agent.definition.diagnostics import render
    from agent.definition.load import load  # 60 ms of YAML and pydantic
    from agent.git.tree import DefinitionTree

    try:
        loaded = load(DefinitionTree(git, tree))
        needed = [(one.path, render([one.missing], loaded.sources)) for one in loaded.needed]
        return Verdict(True, json.dumps({"entries": loaded.entries, "needed": needed}))
    except DefinitionError as error:
        return Verdict(False, str(error))


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
