"""How many hosts must stay healthy, and whether a deployment goes on: CodeDeploy's arithmetic (codepipeline.md 4.6)."""

from enum import StrEnum

from agent.errors import DefinitionError
from agent.model.amount import Amount
from agent.model.value import Value


class Verdict(StrEnum):
    """What follows from the results so far."""

    GO_ON = "go-on"
    STOP = "stop"  # healthy hosts would become too few: the deployment has failed
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Tolerance(Value, frozen=True, kw_only=True):
    """How many of `total` hosts must be healthy. Strict: every host must succeed, whatever the minimum."""

    total: int
    minimum: int
    strict: bool = False

    @property
    def at_once(self) -> int:
        """How many hosts may be out of service at the same time."""
        return self.total - self.minimum


def tolerance(total: int, minimum: Amount, *, strict: bool = False) -> Tolerance:
    """Raises DefinitionError if the minimum leaves no host to deploy to (HEALTH_CONSTRAINTS_INVALID)."""
    least = minimum.up(total)
    if least >= total:
        raise DefinitionError(
            f"deploy: {least} of {total} hosts have to stay healthy, so none may be deployed to",
            hint="lower `minimum_healthy`; a percentage is rounded up",
        )
    return Tolerance(total=total, minimum=least, strict=strict)


def judge(rule: Tolerance, succeeded: int, failed: int) -> Verdict:
    """After `succeeded` + `failed` hosts have ended and none is under way. The order does not count, but for the last host:
    its failure is borne where enough are healthy, since no host is left that could be harmed."""
    left = rule.total - succeeded - failed
    healthy = rule.total - failed
    if left == 0:
        enough = succeeded > 0 and healthy >= rule.minimum and not (rule.strict and failed)
        return Verdict.SUCCEEDED if enough else Verdict.FAILED
    if failed and (rule.strict or healthy <= rule.minimum):
        return Verdict.STOP
    return Verdict.GO_ON
