"""Who the agent is at a server of the operator's while it performs an attempt."""

import base64

from agent.actions.base import Attempt
from agent.actions.server import Server
from agent.secrets.redact import Redactor
from agent.worker.terms import Terms


def server(terms: Terms, hidden: Redactor, attempt: Attempt, where: str) -> Server:
    """See Context. What proves who we are is hidden from then on."""
    name, opened = terms.permit.server(attempt, where)
    if not opened.secret:
        return Server(name=name, url=opened.url)
    secret = terms.secrets.get(opened.secret)
    hidden.hide((secret,))
    basic = base64.b64encode(b":".join((opened.user.encode(), secret)))
    hidden.hide((basic,) if opened.user else ())
    return Server(name=name, url=opened.url, login=f"Basic {basic.decode()}" if opened.user else f"Bearer {secret.decode()}")
