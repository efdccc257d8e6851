"""Amounts in cents, never in floating point."""


def written(cents: int) -> str:
    """`1234` is written 12.34."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02}"


def read(text: str) -> int:
    """The cents of a written amount. Raises ValueError."""
    whole, _, rest = text.strip().partition(".")
    if len(rest) not in {0, 2}:
        raise ValueError(f"{text!r} is no amount such as 12.34")
    cents = int(whole.lstrip("-") or 0) * 100 + int(rest or 0)
    return -cents if whole.startswith("-") else cents
