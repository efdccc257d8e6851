"""Notices to a URL as JSON, signed as GitHub signs: `X-Hub-Signature-256: sha256=<HMAC of the body>`."""

import hashlib
import hmac

from agent.model.notice import Notice
from agent.notify import http, payload
from agent.notify.base import Means
from agent.settings import Notify


class WebhookNotifier:
    """POSTs `payload.document`. A receiver tells repetitions by X-Git-Pipeline-Delivery, and refuses what is not signed."""

    def __init__(self, rule: Notify, means: Means) -> None:
        self._rule = rule
        self._means = means

    def send(self, notice: Notice) -> None:
        body = payload.encoded(payload.document(notice, self._means.link_of(notice))).encode()
        headers = {
            "Content-Type": "application/json",
            "X-Git-Pipeline-Event": notice.event,
            "X-Git-Pipeline-Delivery": notice.id,
        }
        if self._rule.secret:
            digest = hmac.new(self._means.secret(self._rule.secret), body, hashlib.sha256).hexdigest()
            headers["X-Hub-Signature-256"] = f"sha256={digest}"
        http.post(self._means.url(self._rule.webhook), body, headers)
