"""The base of the values that are journalled, planned and recorded."""

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A frozen value with a JSON form (`msgspec.json.encode` / `decode`).

    Unknown fields are ignored on reading, so that an older agent reads what a newer one wrote.
    """
