"""The page of a shop."""

from html import escape

from money import written


def page(goods: dict[str, int]) -> str:
    """A list of goods with their prices."""
    items = "".join(f"<li>{escape(name)}: {written(cents)}</li>" for name, cents in sorted(goods.items()))
    return f"<!doctype html><title>Shop</title><ul>{items}</ul>"
