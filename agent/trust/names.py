"""The names of control tags: `<verb>/<pipeline>[/<number>][/<stage>]/<label>` under refs/tags. Light, as every push is looked at.

The label is free: who spoke is told by the key. Parts are counted exactly, so no control tag stands in the way of another as a
directory would; a tag that is called like a verb alone would, and is refused as malformed.
"""

from typing import NamedTuple

from agent.errors import RefusedError
from agent.model.ids import NAME

_PREFIX = "refs/tags/"
PARTS = {
    "approve": ("pipeline", "number", "stage"),
    "reject": ("pipeline", "number", "stage"),
    "stop": ("pipeline", "number"),
    "retry": ("pipeline", "number", "stage"),
    "rollback": ("pipeline", "number", "stage"),
    "disable": ("pipeline", "stage"),
    "enable": ("pipeline", "stage"),
    "override": ("pipeline", "number", "stage"),
    "start": ("pipeline",),
}  # of each verb, without the label that ends every name
DIGITS = 9  # of a number


class TagName(NamedTuple):
    """The parts of a control tag's name; `number` 0 and `stage` empty where the verb has none."""

    verb: str
    pipeline: str
    number: int
    stage: str
    label: str

    @property
    def text(self) -> str:
        """The tag without refs/tags/."""
        given = {"pipeline": self.pipeline, "number": str(self.number), "stage": self.stage}
        return "/".join([self.verb, *(given[part] for part in PARTS[self.verb]), self.label])

    @property
    def subject(self) -> str:
        """What it is about, for people: release #42 production."""
        number = f" #{self.number}" if self.number else ""
        return f"{self.pipeline}{number}" + (f" {self.stage}" if self.stage else "")


def is_control(ref: str) -> bool:
    """Whether a ref is the agent's to judge: it begins with one of the verbs."""
    return ref.startswith(_PREFIX) and ref[len(_PREFIX) :].partition("/")[0] in PARTS


def form(verb: str) -> str:
    """How a tag of this verb is called: stop/<pipeline>/<number>/<label>."""
    return "/".join([verb, *(f"<{part}>" for part in (*PARTS[verb], "label"))])


def parse(ref: str) -> TagName:
    """The parts of a control tag's ref. Raises RefusedError with the form that its verb has."""
    verb, *parts = ref.removeprefix(_PREFIX).split("/")
    wanted = PARTS.get(verb)
    if wanted is None:
        raise RefusedError(f"there is no verb {verb}", hint=f"there are {', '.join(PARTS)}")
    if len(parts) != len(wanted) + 1:
        raise RefusedError(f"a control tag of {verb} has {len(wanted) + 2} parts", hint=f"call it {form(verb)}")
    given = dict(zip((*wanted, "label"), parts, strict=True))
    for part, text in given.items():
        if not _is_number(text) if part == "number" else not NAME.fullmatch(text):
            raise RefusedError(f"'{text}' is no {part}", hint=f"call it {form(verb)}")
    return TagName(verb, given["pipeline"], int(given.get("number", 0)), given.get("stage", ""), given["label"])


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= DIGITS and not text.startswith("0")
