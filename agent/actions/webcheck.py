"""A health check that the agent makes itself, of the hosts and nobody else."""

import http.client
import re
from urllib.parse import urlsplit

from agent.model.host import Host

_AT_THE_HOST = re.compile(r"https?://\{address\}(:\d{1,5})?(/.*)?", re.ASCII)  # as GP806 demands it of what is pushed


def ask(url: str, host: Host, timeout: float) -> str:
    """What is wrong with the answer of a host to its `url`; empty for 2xx and 3xx, which is not followed."""
    if not _AT_THE_HOST.fullmatch(url):
        return "the agent asks nobody but the hosts themselves"
    address = f"[{host.address}]" if ":" in host.address else host.address
    parts = urlsplit(url.replace("{address}", address, 1))
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", parts._replace(scheme="", netloc="").geturl() or "/", headers={"User-Agent": "git-pipeline"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"no answer from {parts.netloc}: {error}"
    finally:
        connection.close()
    return "" if 200 <= status < 400 else str(status)
