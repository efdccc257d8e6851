"""A web server that the operator opens to an attempt, and what is asked of it."""

import contextlib
import http.client
import json
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from agent.errors import EnvironmentFault, Unavailable
from agent.model.value import Value

WAIT = 30.0  # seconds that it may be silent
CHUNK = 64 * 1024  # bytes
CAP = 16 * 1024 * 1024  # bytes of a document
BUSY = frozenset({429, 502, 503, 504})


class Unheard(Unavailable):
    """It was asked, and its answer did not come or broke off: what it was asked for may have been done."""


class Answer:
    """An answer, read while its connection stands. Each method raises Unheard where it breaks off."""

    def __init__(self, answer: http.client.HTTPResponse, whence: str) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.whence = whence
        self._answer = answer

    def chunks(self, most: int = CHUNK) -> Iterator[bytes]:
        """The body as it comes, in parts of at most so many bytes."""
        while True:
            with _heard(self.whence):
                data = self._answer.read1(most)
            if not data:
                return
            yield data

    def body(self, cap: int) -> bytes:
        """At most so many bytes of the body."""
        data = b""
        for chunk in self.chunks():
            data += chunk
            if len(data) >= cap:
                break
        return data[:cap]

    def document(self) -> dict[str, Any]:
        """The body as a JSON object. Raises EnvironmentFault, too, if it is none."""
        try:
            said = json.loads(self.body(CAP))
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise EnvironmentFault(f"{self.whence} answers with something that is no JSON object", hint="is it the right server?")
        return said

    def obey(self) -> None:
        """Raises Unavailable if the answer asks to come again later (RFC 9110, 10.2.3)."""
        if self.status in {429, 503} and self.after is not None:
            raise Unavailable(f"{self.whence} answers {self.status} and asks to wait {self.after:.0f} s", after=self.after)

    @property
    def after(self) -> float | None:
        """The seconds after which it asks to come again; None if it does not."""
        return _seconds(self.headers.get("Retry-After", "").strip(), self.headers.get("Date", ""))


class Server(Value, frozen=True, kw_only=True):
    """`url` is what its addresses begin with, `login` the Authorization header, if there is one."""

    name: str
    url: str
    login: str = ""

    @contextlib.contextmanager
    def ask(
        self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None, wait: float = WAIT
    ) -> Iterator[Answer]:
        """One request; redirects are not followed.

        Raises Unavailable where nobody is there, Unheard, a kind of it, once something was sent, and EnvironmentFault for what
        HTTP does not allow.
        """
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        with contextlib.closing(kind(parts.hostname or "", parts.port, timeout=wait)) as connection:
            with _heard(parts.netloc, Unavailable):
                connection.connect()
            with _heard(parts.netloc):
                connection.request(method, target, body or None, self._headers(headers or {}))
                answer = connection.getresponse()
            with contextlib.closing(answer):  # it holds the socket where the connection does not outlive it
                yield Answer(answer, parts.netloc)

    def document(self, path: str, **query: str) -> dict[str, Any]:
        """A JSON object below the server's URL; empty if there is nothing. Raises as `check` does."""
        with self.ask("GET", f"{self.url}{path}?{urlencode(query)}") as answer:
            if answer.status == 404:
                return {}
            self.check(answer)
            return answer.document()

    def check(self, answer: Answer) -> None:
        """Raises EnvironmentFault for an answer that is no success, and Unavailable if it may be one later."""
        said = f"{answer.whence} answers {answer.status}"
        if answer.status in BUSY:
            raise Unavailable(said, after=answer.after or 0.0)
        if answer.status in {401, 403}:
            raise EnvironmentFault(f"{said}: it does not let us in", hint=self._hint)
        if answer.status >= 400:
            raise EnvironmentFault(said, hint=self._hint)

    @property
    def _hint(self) -> str:
        return f"look at url, user and secret of [servers.{self.name}] in pipeline/config.toml"

    def _headers(self, given: Mapping[str, str]) -> dict[str, str]:
        """Ours, where others do not take their place."""
        ours = {"User-Agent": "git-pipeline", **({"Authorization": self.login} if self.login else {})}
        theirs = {name.lower() for name in given}
        return {**{name: value for name, value in ours.items() if name.lower() not in theirs}, **given}


@contextlib.contextmanager
def _heard(whence: str, fault: type[Unavailable] = Unheard) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise fault(f"no answer from {whence}: {error}", hint="is the server up?") from error
    except ValueError as error:  # its text would show the header, and with it the secret
        raise EnvironmentFault("the URL or a header has a character that HTTP does not allow") from error


def _seconds(said: str, now: str) -> float | None:
    """How long Retry-After asks to wait, seconds or a date by the server's own clock; None if it does not say."""
    if said.isdecimal():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - parsedate_to_datetime(now)).total_seconds())
    except (ValueError, TypeError):
        return None
