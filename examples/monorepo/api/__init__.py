"""The price of a basket, as JSON."""

import json

from money import read, written


def total(body: str) -> str:
    """Takes `[{"price": "1.50", "count": 2}]`, gives `{"total": "3.00"}`."""
    cents = sum(read(line["price"]) * line["count"] for line in json.loads(body))
    return json.dumps({"total": written(cents)})
