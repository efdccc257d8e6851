"""What actions leave for each other (GP401 to GP405, GP602)."""

from collections.abc import Iterator, Mapping

from agent.definition.diagnostics import Diagnostic
from agent.definition.matrix import Leg
from agent.definition.order import Spot
from agent.definition.reading import Loc, Placed, Reading
from agent.definition.references import OPENING, replace
from agent.definition.suggest import did_you_mean
from agent.model.glob import problem
from agent.model.ids import NAME


def named(text: str, leg: Leg) -> str:
    """The name of an artifact in one leg of a matrix."""
    return replace(text, lambda reference: leg.values.get(reference.key) if reference.namespace == "matrix" else None)


def unique(reading: Reading) -> Iterator[Diagnostic]:
    """GP402: an artifact is produced once."""
    first: dict[str, Placed] = {}
    for placed in reading.actions:
        for written in placed.action.artifacts:
            names = [named(written, leg) for leg in reading.legs_of(placed.spot)]
            yield from _unique(reading, placed, written, names, first)


def _unique(reading: Reading, placed: Placed, written: str, names: list[str], first: dict[str, Placed]) -> Iterator[Diagnostic]:
    loc = (*placed.loc, "artifacts", written)
    if len(set(names)) < len(names):
        key = next(iter(reading.legs_of(placed.spot)[0].values), "key")
        message = f"every action of the matrix would produce artifact '{written}'"
        yield reading.at("GP402", loc, message, f'put a value into the name: "{written}-${{{{ matrix.{key} }}}}"', on_key=True)
        names = sorted(set(names))
    for name in names:
        other = first.setdefault(name, placed)
        if other is not placed:
            message = f"artifact '{name}' is already produced by action '{other.action.name}' of stage '{other.stage.name}'"
            yield reading.at("GP402", loc, message, "names of artifacts are unique in a pipeline", on_key=True)


def producers(reading: Reading) -> dict[str, Spot]:
    """Which action produces an artifact; of two the first."""
    found: dict[str, Spot] = {}
    for placed in reading.actions:
        for written in placed.action.artifacts:
            for leg in reading.legs_of(placed.spot):
                found.setdefault(named(written, leg), placed.spot)
    return found


def inputs(reading: Reading) -> Iterator[Diagnostic]:
    """GP401 and GP403: an input is produced, and by an action that is certain to have succeeded earlier."""
    produced = producers(reading)
    for placed in reading.actions:
        for written in placed.action.inputs:
            for name in dict.fromkeys(named(written, leg) for leg in reading.legs_of(placed.spot)):
                yield from _input(reading, placed, written, name, produced)


def _input(reading: Reading, placed: Placed, written: str, name: str, produced: Mapping[str, Spot]) -> Iterator[Diagnostic]:
    loc = (*placed.loc, "inputs", written)
    if OPENING in name or name in reading.lost:
        return
    if name not in produced:
        hint = did_you_mean(name, produced, "there are") or "an action produces it with artifacts: {name: [globs]}"
        yield reading.at("GP401", loc, f"no action produces artifact '{name}'", hint)
        return
    doubt = reading.order.doubt(produced[name], *placed.spot)
    if doubt:
        stage, action = produced[name]
        producer = reading.pipeline.stages[stage].actions[action].name
        yield reading.at("GP403", loc, f"artifact '{name}' of action '{producer}' may not be there by then", doubt)


def paths(reading: Reading) -> Iterator[Diagnostic]:
    """GP404 and GP602: paths stay in the workspace, and globs are globs."""
    for placed in reading.actions:
        for loc, path in _paths(placed):
            if wrong := _escapes(path):
                yield reading.at("GP404", loc, f"{path[:80]!r} {wrong}", "paths are relative to the workspace")
        for loc, glob in _globs(placed):
            if wrong := _escapes(glob):
                yield reading.at("GP404", loc, f"{glob[:80]!r} {wrong}", "paths are relative to the workspace")
            elif OPENING not in glob and (fault := problem(glob)):
                yield reading.at("GP602", loc, f"{glob[:80]!r} is not a glob: {fault}")


def names(reading: Reading) -> Iterator[Diagnostic]:
    """GP405: artifacts have plain names, also with the values of a matrix."""
    for placed in reading.actions:
        for written in placed.action.artifacts:
            wrong = [name for leg in reading.legs_of(placed.spot) if not NAME.fullmatch(name := named(written, leg))]
            if wrong and not _other_references(written):
                message = f"{wrong[0][:80]!r} is not a valid name of an artifact"
                hint = "letters, digits, '.', '_' and '-', at most 100, beginning with a letter or digit"
                yield reading.at("GP405", (*placed.loc, "artifacts", written), message, hint, on_key=True)


def _other_references(written: str) -> bool:
    """Whether there are references that another rule refuses here."""
    return OPENING in replace(written, lambda reference: "" if reference.namespace == "matrix" else None)


def _escapes(path: str) -> str:
    if path.startswith(("/", "~")):
        return "is not relative"
    if "\0" in path:
        return "has a NUL in it"
    return "leaves the workspace" if ".." in path.split("/") else ""


def _paths(placed: Placed) -> Iterator[tuple[Loc, str]]:
    action = placed.action
    yield (*placed.loc, "workdir"), action.workdir if not action.hosts else ""
    yield from (((*placed.loc, "inputs", name), path) for name, path in action.inputs.items())
    yield from (((*placed.loc, "artifacts", name, "base"), output.base) for name, output in action.artifacts.items())
    for index, cache in enumerate(action.cache):
        for at, path in enumerate(cache.paths):
            yield (*placed.loc, "cache", index, "paths", at), path.removeprefix("~/").lstrip("/")


def _globs(placed: Placed) -> Iterator[tuple[Loc, str]]:
    action = placed.action
    for name, output in action.artifacts.items():
        for key in ("files", "exclude"):
            for at, glob in enumerate(getattr(output, key)):
                yield (*placed.loc, "artifacts", name, key, at), glob
    yield from (((*placed.loc, "reports", "junit", at), glob) for at, glob in enumerate(action.reports.junit))
    for index, cache in enumerate(action.cache):
        yield from (((*placed.loc, "cache", index, "key_files", at), glob) for at, glob in enumerate(cache.key_files))
