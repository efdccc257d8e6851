"""The variables that a script gets (DESIGN.md 2.1). Pure."""

import re
from collections.abc import Mapping

from agent.actions.base import Attempt
from agent.executors.base import Places

OURS = "PIPELINE_"
OUTPUT = "output"  # in the control directory
HOME = "home"  # likewise: a HOME that is writable whoever the job runs as, and that caches with `~` are mounted in


def variables(attempt: Attempt, places: Places) -> dict[str, str]:
    """All PIPELINE_* variables of an attempt that sees its directories at these places."""
    execution = attempt.execution
    fixed = {
        "PIPELINE_NAME": execution.pipeline,
        "PIPELINE_NUMBER": str(execution.number),
        "PIPELINE_EXECUTION": execution.id,
        "PIPELINE_STAGE": attempt.stage.name,
        "PIPELINE_ACTION": attempt.action.name,
        "PIPELINE_ATTEMPT": str(attempt.number),
        "PIPELINE_COMMIT": execution.commit,
        "PIPELINE_BRANCH": _short(execution.ref, "refs/heads/"),
        "PIPELINE_TAG": _short(execution.ref, "refs/tags/"),
        "PIPELINE_WORKSPACE": places.workspace,
        "PIPELINE_OUTPUT": f"{places.control}/{OUTPUT}",
    }
    if attempt.action.secrets:
        fixed["PIPELINE_SECRETS"] = places.secrets
    inputs = {input_variable(one.name): _below(places.workspace, one.path) for one in attempt.action.inputs}
    return fixed | inputs


def merged(attempt: Attempt, places: Places, operator: Mapping[str, str], home: str) -> dict[str, str]:
    """The whole environment: the action's `env` over CI and HOME, the operator's over it, ours over everything.

    `home` empty: the place has a HOME of its own.
    """
    base = {"CI": "true"} | ({"HOME": home} if home else {})
    own = {name: value for name, value in attempt.action.env.items() if not name.startswith(OURS)}
    return base | own | dict(operator) | variables(attempt, places)


def refused(attempt: Attempt) -> tuple[str, ...]:
    """Names in the action's `env` that are ours, and so have no effect."""
    return tuple(name for name in attempt.action.env if name.startswith(OURS))


def input_variable(name: str) -> str:
    """The variable that tells where an input was unpacked."""
    return f"{OURS}INPUT_{re.sub('[^A-Za-z0-9]', '_', name).upper()}"


def _short(ref: str, prefix: str) -> str:
    return ref.removeprefix(prefix) if ref.startswith(prefix) else ""


def _below(directory: str, path: str) -> str:
    return f"{directory}/{path.strip('/')}" if path.strip("/") else directory
