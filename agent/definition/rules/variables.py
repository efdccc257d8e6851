"""Variables of the pipeline, of the environment, and secrets (GP310 to GP312)."""

from collections.abc import Iterator, Mapping

from agent.definition.diagnostics import Diagnostic
from agent.definition.reading import Loc, Reading
from agent.definition.suggest import did_you_mean

_OURS = "PIPELINE_"


def defaults(reading: Reading) -> Iterator[Diagnostic]:
    """GP310: a default is one of the choices."""
    for name, variable in reading.pipeline.variables.items():
        if variable.choices and variable.default is not None and variable.default not in variable.choices:
            message = f"the default {variable.default[:60]!r} of variable '{name}' is none of its choices"
            hint = did_you_mean(variable.default, variable.choices)
            yield reading.at("GP310", ("variables", name, "default"), message, hint)


def reserved(reading: Reading) -> Iterator[Diagnostic]:
    """GP311: variables that begin with PIPELINE_ are ours."""
    for loc, env in _environments(reading):
        for name in env:
            if name.startswith(_OURS):
                message = f"'{name}': variables that begin with {_OURS} are set by the agent"
                yield reading.at("GP311", (*loc, name), message, "give it another name", on_key=True)
    for placed in reading.actions:
        for secret, name in placed.action.secrets.items():
            if name.startswith(_OURS):
                message = f"'{name}': variables that begin with {_OURS} are set by the agent"
                yield reading.at("GP311", (*placed.loc, "secrets", secret), message, "give it another name")


def clashes(reading: Reading) -> Iterator[Diagnostic]:
    """GP312: an environment variable has one value."""
    for placed in reading.actions:
        taken = {**dict.fromkeys(placed.action.env, "`env`")}
        for secret, name in placed.action.secrets.items():
            if not name:
                continue
            before = taken.setdefault(name, f"secret '{secret}'")
            if before != f"secret '{secret}'":
                message = f"secret '{secret}' goes into variable {name}, which has its value from {before}"
                hint = f"write secrets: {{{secret}: OTHER_NAME}}"
                yield reading.at("GP312", (*placed.loc, "secrets", secret), message, hint)


def _environments(reading: Reading) -> Iterator[tuple[Loc, Mapping[str, str]]]:
    yield ("env",), reading.pipeline.env
    for at, stage in enumerate(reading.pipeline.stages):
        yield ("stages", at, "env"), stage.env
    for placed in reading.actions:
        yield (*placed.loc, "env"), placed.action.env
