"""Actions on AWS, in the accounts and regions that `with` names: in one, or in several, one after the other or side by side."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Generic, TypeVar

from pydantic import Field

from agent.actions.base import Attempt, Context, options_of
from agent.actions.memory import KeptLog
from agent.actions.remote import LOG, Work, ended
from agent.aws.session import Clients
from agent.definition.section import Section
from agent.definition.values import Flag, Texts
from agent.errors import EnvironmentFault
from agent.model.outcome import Outcome, Reason, Status

THREADS = 16  # places at once


class AwsOptions(Section):
    """What every action on AWS takes."""

    account: Texts = Field(default=("default",), description="The operator's name of the account, or a list of them.")
    region: Texts = Field(default=("",), description="The region, or a list of them. Default: the account's own.")
    side_by_side: Flag = Field(
        default=False, description="Several accounts or regions at once, and not one after the other until one fails."
    )


Chosen = TypeVar("Chosen", bound=AwsOptions)


class AwsAction(Generic[Chosen]):
    """A Provider on AWS: `act` does the work in one place."""

    Options: type[Chosen]
    outputs: ClassVar[tuple[str, ...] | None] = None

    def perform(self, attempt: Attempt, context: Context) -> Outcome:
        """See Action. With several places the outputs of each are called `key@account@region`, without what was not named."""
        options = options_of(attempt, self.Options)
        named = [(account, region) for account in options.account for region in options.region]
        opened = {_name(*place, options): context.clients(attempt, *place) for place in named}
        with KeptLog(context.control(attempt) / LOG, context.log) as log:
            works = [(Work(attempt, context, log, name if len(opened) > 1 else ""), aws) for name, aws in opened.items()]
            if len(works) == 1:
                return self._at(works[0], options)
            outcomes = self._side_by_side(works, options) if options.side_by_side else self._in_order(works, options)
        return _together(dict(zip(opened, outcomes, strict=False)))

    def act(self, work: Work, options: Chosen, aws: Clients) -> Outcome:
        """Do it in one place, repeatably: what must be done once is remembered by `work`. May raise Interrupted."""
        raise NotImplementedError

    def _at(self, one: tuple[Work, Clients], options: Chosen) -> Outcome:
        work, aws = one
        return ended(work, lambda: self.act(work, options, aws))

    def _in_order(self, works: Sequence[tuple[Work, Clients]], options: Chosen) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for one in works:
            outcomes.append(self._surely(one, options))
            if not outcomes[-1].succeeded:
                break
        return outcomes

    def _side_by_side(self, works: Sequence[tuple[Work, Clients]], options: Chosen) -> list[Outcome]:
        with ThreadPoolExecutor(min(THREADS, len(works)), thread_name_prefix="place") as pool:
            return list(pool.map(lambda one: self._surely(one, options), works))

    def _surely(self, one: tuple[Work, Clients], options: Chosen) -> Outcome:
        """A fault in one place does not hide what happened in the others."""
        try:
            return self._at(one, options)
        except EnvironmentFault as fault:
            return Outcome(status=Status.FAILED, reason=Reason.ENGINE, message=fault.message)


def _name(account: str, region: str, options: AwsOptions) -> str:
    parts = [account if len(options.account) > 1 else "", region if len(options.region) > 1 else ""]
    return "@".join(part for part in parts if part)


def _together(outcomes: dict[str, Outcome]) -> Outcome:
    """One outcome of several places: that of the first one that did not succeed, with what all of them say."""
    worst = next((outcome for outcome in outcomes.values() if not outcome.succeeded), None)
    shown = worst or next(iter(outcomes.values()))
    return Outcome(
        status=shown.status,
        reason=shown.reason,
        message="; ".join(f"{place}: {outcome.message}" for place, outcome in outcomes.items()),
        outputs={f"{key}@{place}": value for place, outcome in outcomes.items() for key, value in outcome.outputs.items()},
        link=shown.link,
    )
