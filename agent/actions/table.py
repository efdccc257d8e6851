"""The one table of built-in actions: by the kind of their work, else by the name after `uses:`. Loaded when first asked for."""

import importlib
from functools import cache

from agent.actions.base import Action
from agent.errors import RefusedError

BUILTIN = {
    "hosts": "agent.actions.hosts:HostsAction",
    "deploy": "agent.actions.deploy:DeployAction",
    "run": "agent.actions.run:RunAction",
}


@cache
def load(name: str) -> Action:
    """The built-in action of this name. Raises RefusedError if there is none."""
    if name not in BUILTIN:
        raise RefusedError(f"this agent has no action {name}", hint=f"it has {', '.join(sorted(BUILTIN))}")
    module, _, attribute = BUILTIN[name].partition(":")
    action: Action = getattr(importlib.import_module(module), attribute)()
    return action
