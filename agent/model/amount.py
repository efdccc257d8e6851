"""A number of hosts, or a share of them."""

import re

from agent.model.value import Value

_FORM = re.compile(r"(\d{1,6})(%?)", re.ASCII)


class Amount(Value, frozen=True, kw_only=True):
    """Hosts, or a percentage of all there are."""

    number: int
    percent: bool = False

    def up(self, total: int) -> int:
        """Hosts, a fraction counted as a whole one."""
        return -(-total * self.number // 100) if self.percent else self.number

    def __str__(self) -> str:
        return f"{self.number}%" if self.percent else str(self.number)


def amount(text: str) -> Amount | None:
    """`3` or `25%`; None if it is neither."""
    found = _FORM.fullmatch(text)
    if not found or (found[2] and int(found[1]) > 100):
        return None
    return Amount(number=int(found[1]), percent=bool(found[2]))
