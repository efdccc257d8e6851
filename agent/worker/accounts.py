"""Who the agent is in an account of AWS while it performs an attempt: the operator's role, marked with what it acts for."""

import re
from collections.abc import Callable

from agent.actions.base import Attempt
from agent.aws import ecr
from agent.aws.session import Clients, Identity, Sessions
from agent.config import Account
from agent.worker.permit import Permit

Open = Callable[[Attempt, str, str], Clients]


def clients(permit: Permit, sessions: Sessions, attempt: Attempt, name: str, region: str) -> Clients:
    """Clients in an account of the operator's. Raises RefusedError if the attempt may not use it. Asks AWS nothing yet."""
    account = permit.account(attempt, name, region)
    return Clients(sessions, _identity(account, attempt), region or account.region)


def login(permit: Permit, clients: Open, secret: Callable[[str], bytes], attempt: Attempt, repository: str) -> dict[str, str]:
    """How to push images to a repository, as the engine takes it; empty where nobody logs in. `clients` is as above.

    Raises RefusedError if the attempt may not push there, EnvironmentFault if the login cannot be had.
    """
    registry = permit.registry(attempt, repository)
    if registry.account:
        aws = clients(attempt, registry.account, registry.region)
        return ecr.login(aws("ecr"), repository.partition("/")[2] if registry.create else "")
    if registry.user:
        return {"username": registry.user, "password": secret(registry.password).decode().strip()}
    return {}


def _identity(account: Account, attempt: Attempt) -> Identity:
    if not account.role:
        return Identity()
    known = {
        "pipeline": attempt.execution.pipeline,
        "execution": attempt.execution.id,
        "stage": attempt.stage.name,
        "action": attempt.action.name,
        "commit": attempt.execution.commit,
    }
    tags = tuple((key, re.sub(r"[^\w .:/=+@-]", "-", known[key])) for key in account.session_tags)
    # CloudTrail shows the name of the session beside all that it does
    return Identity(account.role, account.external_id, f"git-pipeline-{attempt.execution.id}", tags)
