"""Who may steer: the operator's configuration says it for each verb; approvals ask for people and roles of their own."""

from agent.errors import RefusedError
from agent.trust.people import Policy

OPERATOR = "operator"
ANSWERS = ("approve", "reject")  # who may give one is said by the approval that asks


def require(policy: Policy, verb: str, person: str) -> None:
    """Raises RefusedError if this person may not use the verb at all."""
    if verb in ANSWERS:
        return
    allowed = policy.verbs.get(verb, (OPERATOR,))
    roles = policy.person(person).roles
    if person in allowed or not set(roles).isdisjoint(allowed):
        return
    has = f"{person} has the role {' and '.join(roles)}" if roles else f"{person} has no role"
    raise RefusedError(
        f"{person} may not {verb}: that is for {' or '.join(allowed) or 'nobody'}",
        hint=f"{has}; ask somebody who may, or the operator of the server",
    )
