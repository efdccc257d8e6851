"""What a pipeline file must know of the providers behind `uses`: loaded by name, as far as a file names them."""

from collections.abc import Sequence
from typing import Protocol

from pydantic import BaseModel

from agent import plugins
from agent.definition.document import Action
from agent.errors import RefusedError


class Provided(Protocol):
    """The part of a provider that speaks of files: the model of `with`, and its outputs, None if any are possible."""

    Options: type[BaseModel]
    outputs: Sequence[str] | None


def provider(group: str, name: str) -> Provided:
    """The provider of this name. Raises RefusedError if there is none, or what a plug-in brings is none."""
    found = plugins.load(group, name)
    if not hasattr(found, "Options") or not hasattr(found, "outputs"):
        raise RefusedError(f"{name} is no provider for `uses`", hint="it needs `Options` and `outputs`")
    known: Provided = found
    return known


def outputs_of(action: Action) -> tuple[str, ...]:
    """The outputs that an action has, as far as that is certain; empty if any are possible."""
    if action.uses is None:
        return () if action.deploy else action.outputs
    try:
        known = provider("actions", action.uses).outputs
    except RefusedError:
        return ()
    return (*action.outputs, *known) if known else ()
