"""The refs that are the agent's own: nobody can push to them, whatever else is broken."""

from collections.abc import Iterable

from agent.model.push import RefUpdate

OWN = ("refs/notes/pipeline", "refs/pipeline/")


def trespass(updates: Iterable[RefUpdate]) -> str:
    """Why a push cannot be accepted, if it touches a ref of ours; else empty."""
    refs = [update.ref for update in updates if update.ref.startswith(OWN)]
    if not refs:
        return ""
    hint = "leave it out; git push origin 'refs/heads/*' pushes branches only"
    return f"{', '.join(refs[:5])} {'are' if len(refs) > 1 else 'is'} written by the agent alone\nhint: {hint}"
