"""Notices to an event bus, in the shapes of CodePipeline's own events."""

from agent.aws.session import Clients, Identity
from agent.model.notice import Notice
from agent.notify import payload
from agent.notify.base import Means, NotDelivered
from agent.settings import Notify


class EventBridgeNotifier:
    """Puts one event. Its source is `git-pipeline`: AWS keeps `aws.…` for itself; all else is as CodePipeline has it."""

    def __init__(self, rule: Notify, means: Means) -> None:
        self._rule = rule
        self._means = means

    def send(self, notice: Notice) -> None:
        bus = self._rule.eventbridge
        region = bus.split(":")[3] if bus.startswith("arn:") else self._rule.region
        aws = Clients(self._means.sessions, Identity(self._rule.role, self._rule.external_id), region)
        entry = {
            "EventBusName": bus,
            "Source": payload.SOURCE,
            "DetailType": payload.detail_type(notice),
            "Detail": payload.encoded(payload.detail(notice, aws.region)),
            "Resources": [payload.resource(notice)],
            "Time": notice.at,
        }
        done = aws("events", about=f"event bus {bus}")("put_events", Entries=[entry])
        if done["FailedEntryCount"]:
            said = done["Entries"][0]
            raise NotDelivered(f"event bus {bus}: {said.get('ErrorMessage')}", hint=f"AWS says {said.get('ErrorCode')}")
