"""Notices to an incoming webhook of Slack, or of what understands the same: Mattermost, Rocket.Chat, Discord's /slack."""

from agent.model.notice import Notice
from agent.notify import http, payload
from agent.notify.base import Means
from agent.settings import Notify

_COLOURS = {"succeeded": "#2eb67d", "failed": "#e01e5a", "needed": "#ecb22e"}
_MOST = 3000  # characters of one attachment


class SlackNotifier:
    """POSTs a line with the text below it. What a push wrote cannot mention anybody: `<`, `>` and `&` are escaped."""

    def __init__(self, rule: Notify, means: Means) -> None:
        self._rule = rule
        self._means = means

    def send(self, notice: Notice) -> None:
        colour = _COLOURS.get(notice.event.partition(".")[2], "#aaaaaa")
        text = _escaped(payload.text(notice, self._means.link_of(notice)))[:_MOST]
        attachment = {"color": colour, "text": text, "fallback": text, "ts": int(notice.at.timestamp())}
        body = payload.encoded({"text": f"*{_escaped(payload.subject(notice))}*", "attachments": [attachment]})
        http.post(self._means.url(self._rule.slack), body.encode(), {"Content-Type": "application/json"})


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
