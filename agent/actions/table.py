"""The one table of built-in actions: by the kind of their work, else by the name after `uses:`. Loaded when first asked for."""

import importlib
from functools import cache

from agent.actions.base import Action

BUILTIN = {
    "run": "agent.actions.run:RunAction",
}


@cache
def load(name: str) -> Action:
    """The built-in action of this name; KeyError if there is none."""
    module, _, attribute = BUILTIN[name].partition(":")
    action: Action = getattr(importlib.import_module(module), attribute)()
    return action
