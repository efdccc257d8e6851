"""The rule `alarm`: a condition holds while no alarm of CloudWatch goes off, now or for a time (codepipeline.md 1.8)."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from agent.actions.aws.alarms import FAILING, State, bake
from agent.actions.aws.place import AwsAction, AwsOptions
from agent.actions.remote import Work, failed, succeeded
from agent.aws.session import Clients
from agent.definition.values import Duration, Texts, many
from agent.model.outcome import Outcome


class AlarmOptions(AwsOptions):
    """Which alarms, and for how long."""

    alarm: Annotated[Texts, Field(min_length=1, max_length=100)] = Field(description="The name of an alarm, or a list of them.")
    states: Annotated[tuple[State, ...], BeforeValidator(many)] = Field(
        default=FAILING, description="The states in which the rule does not hold."
    )
    bake: Duration | None = Field(
        default=None, description="Look again and again for this time. The rule needs a `timeout` that is longer."
    )


class AlarmRule(AwsAction[AlarmOptions]):
    """A Provider of a rule."""

    Options = AlarmOptions

    def act(self, work: Work, options: AlarmOptions, aws: Clients) -> Outcome:
        """See AwsAction."""
        link = f"https://console.aws.amazon.com/cloudwatch/home?region={aws.region}#alarmsV2:"
        if wrong := bake(work, aws, options.alarm, options.bake, options.states):
            return failed(wrong, link)
        return succeeded(f"{', '.join(options.alarm)}: none is {' or '.join(options.states)}", link)
