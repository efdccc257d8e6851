"""Notices to a topic of SNS: CodePipeline's message for an approval, that of its notification rules for all else."""

from agent.aws.session import Clients, Identity
from agent.model.notice import Notice
from agent.notify import payload
from agent.notify.base import Means
from agent.settings import Notify


class SnsNotifier:
    """Publishes to the topic, in the region that its ARN names."""

    def __init__(self, rule: Notify, means: Means) -> None:
        self._rule = rule
        self._means = means

    def send(self, notice: Notice) -> None:
        topic = self._rule.sns
        region, account = ([*topic.split(":"), "", "", "", "", ""])[3:5]
        region = region or self._rule.region
        if notice.event == "approval.needed":
            message = payload.approval(notice, region, self._means.link_of(notice))
        else:
            message = payload.processed(notice, region, account)
        attributes = {"event": notice.event, "pipeline": notice.execution.pipeline, "id": notice.id}
        aws = Clients(self._means.sessions, Identity(self._rule.role, self._rule.external_id), region)
        aws("sns", about=f"SNS topic {topic}")(
            "publish",
            TopicArn=topic,
            Subject=payload.subject(notice),
            Message=payload.encoded(message),
            MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
        )
