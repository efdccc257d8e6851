"""Whether somebody who is to approve has a hand in what is to be approved: four eyes are two pairs."""

from collections.abc import Iterable
from typing import NamedTuple

from agent.trust.people import Person


class Identity(NamedTuple):
    """A name and an address as a commit has them; either may be empty."""

    name: str
    email: str


def is_author(person: Person, commits: Iterable[Identity], pushers: Iterable[str]) -> bool:
    """Whether one of these who wrote, committed or pushed is this person, by the configured name or e-mail address.

    A pusher is what the transport tells: `alice`, or `alice@192.0.2.1` for an account over ssh.
    """
    own = {text.casefold() for text in (person.name, person.email) if text}
    wrote = (text.casefold() for identity in commits for text in identity)
    pushed = (text.casefold() for pusher in pushers for text in (pusher, pusher.rpartition("@")[0]))
    return any(text in own for text in (*wrote, *pushed) if text)
