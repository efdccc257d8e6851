"""What a verification finds: one check each, in words for a person."""

from agent.model.value import Value


class Finding(Value, frozen=True, omit_defaults=False):
    """`place` is what was looked at, `good` the answer, `words` why."""

    place: str
    good: bool
    words: str
