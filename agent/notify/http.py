"""One request to a web server, with what its answer means for a delivery. The home of urllib for notifications."""

import contextlib
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from urllib.parse import urlsplit

from agent.notify.base import TIMEOUT, NotDelivered

_LATER = {408, 425, 429}  # of the 4xx: those that may pass
AGENT = "git-pipeline"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What was signed for one place is not sent to another."""

    def redirect_request(self, *_: object) -> None:
        return None


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """POST and forget the answer. Raises NotDelivered unless it says success; no message holds more of the URL than its host."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    try:
        request = urllib.request.Request(url, body, {"User-Agent": AGENT, **headers}, method="POST")
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT) as answer:
            answer.read(65536)
    except urllib.error.HTTPError as error:
        raise _refused(host, error) from error
    except (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise NotDelivered(f"{host}: {reason}", hint="is the server up, and the URL right?") from error


def _refused(host: str, error: urllib.error.HTTPError) -> NotDelivered:
    said = ""
    with contextlib.suppress(OSError, http.client.HTTPException):
        said = " ".join(error.read(500).decode(errors="replace").split())[:200]
    error.close()
    after = str(error.headers.get("Retry-After", ""))
    return NotDelivered(
        f"{host} answers {error.code} {error.reason}" + (f": {said}" if said else ""),
        hint="look at the URL and the secret in [[notify]] or [[status]]",
        refused=300 <= error.code < 500 and error.code not in _LATER,
        after=float(after) if after.isdigit() else 0.0,
    )
