"""Takes secrets out of a stream: as they are, and as they look in base64, URLs, JSON and line by line (security.md 1.18).

The result does not depend on how the stream was cut: it is the leftmost-longest replacement over the whole. Held
back is only what could still become a secret. Masking is a net, not a wall: a script can always disguise a secret.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = b"***"
SHORTEST = 4  # characters; masking less would blot out half the log and hide nothing


class Redactor:
    """A masker of streams (executors/logs.py). Values shorter than SHORTEST are not masked."""

    def __init__(self, values: Iterable[bytes]) -> None:
        self._tokens: list[bytes] = []
        self._longest = 0
        self._pattern: re.Pattern[bytes] | None = None
        self._held = b""
        self.hide(values)

    def hide(self, values: Iterable[bytes]) -> None:
        """Mask these too, from now on."""
        tokens = {*self._tokens, *(form for value in values for form in forms(value))}
        if tokens:
            self._tokens = sorted(tokens, key=lambda token: (-len(token), token))
            self._longest = len(self._tokens[0])
            self._pattern = re.compile(b"|".join(re.escape(token) for token in self._tokens))

    def feed(self, data: bytes) -> bytes:
        """What of the stream so far is certain; the rest is held back."""
        if self._pattern is None:
            return data
        text = self._held + data
        certain = self._certain(text)
        shown, at = [], 0
        for found in self._pattern.finditer(text):
            if found.start() >= certain:
                break
            shown += [text[at : found.start()], MASK]
            at = found.end()
        end = max(at, certain)
        self._held = text[end:]
        return b"".join([*shown, text[at:end]])

    def finish(self) -> bytes:
        """The rest, which did not become a secret."""
        rest, self._held = self._held, b""
        return self._pattern.sub(MASK, rest) if self._pattern else rest

    def text(self, text: str) -> str:
        """A whole text without secrets."""
        return self._pattern.sub(MASK, text.encode()).decode(errors="replace") if self._pattern else text

    def finds(self, text: str) -> bool:
        """Whether a text holds a secret."""
        return bool(self._pattern and self._pattern.search(text.encode()))

    def _certain(self, text: bytes) -> int:
        """Where the longest end of the text starts that may be the beginning of a secret."""
        for start in range(max(0, len(text) - self._longest + 1), len(text)):
            rest = text[start:]
            if any(token.startswith(rest) and len(token) > len(rest) for token in self._tokens):
                return start
        return len(text)


def forms(value: bytes) -> Iterator[bytes]:
    """All that a value may look like, each of at least SHORTEST bytes."""
    value = value.strip(b"\r\n")
    parts = {value, *(line.strip() for line in value.splitlines())}
    for part in parts:
        if len(part) >= SHORTEST:
            yield from (form for form in _encoded(part) if len(form) >= SHORTEST)


def _encoded(value: bytes) -> Iterator[bytes]:
    yield value
    yield from _base64(value)
    yield value.hex().encode()
    yield value.hex().upper().encode()
    yield quote(value, safe="").encode()
    yield quote(value).encode()
    yield quote_plus(value).encode()
    text = value.decode(errors="replace")
    yield json.dumps(text)[1:-1].encode()
    yield json.dumps(text, ensure_ascii=False)[1:-1].encode()
    yield json.dumps(text)[1:-1].replace("/", "\\/").encode()


def _base64(value: bytes) -> Iterator[bytes]:
    """The characters that depend on nothing but the value, wherever in a longer text it starts."""
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + value)
        first = (shift * 8 + 5) // 6  # characters that also hold bits of what stands before
        last = (shift + len(value)) * 8 // 6  # characters without bits of what comes after
        core = whole[first:last]
        yield core
        yield core.translate(bytes.maketrans(b"+/", b"-_"))
