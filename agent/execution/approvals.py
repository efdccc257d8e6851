"""Whether enough of the right people agreed. One person counts for one seat; who counts where is a matching, never greedy.

Greedy counting blocks for ever where groups overlap: alice is in qa and ops, bob in qa only. If alice were taken for qa because
she spoke first, bob could never help ops. Kuhn's augmenting paths move people between seats instead.
"""

from collections.abc import Collection, Mapping, Sequence

from agent.model.plan import Group

OPERATOR = "operator"
Roles = Mapping[str, Collection[str]]  # of each person, by the operator's configuration as it is now
Seat = tuple[int, int]  # group, and which of its seats


def may(groups: Sequence[Group], person: str, roles: Roles) -> bool:
    """Whether this person has a say at all."""
    return any(_belongs(group, person, roles) for group in _groups(groups))


def is_complete(groups: Sequence[Group], people: Collection[str], roles: Roles) -> bool:
    """Whether these people, having agreed, fill every seat of every group."""
    return len(_seated(_groups(groups), people, roles)) == sum(max(group.count, 0) for group in _groups(groups))


def missing(groups: Sequence[Group], people: Collection[str], roles: Roles) -> str:
    """What is missing, in words, with who counts for what; empty if nothing is."""
    asked = _groups(groups)
    seated = _seated(asked, people, roles)
    lacking = [
        f"{open_seats} more of {' or '.join(group.any_of)}"
        for index, group in enumerate(asked)
        if (open_seats := group.count - sum(seat[0] == index for seat in seated)) > 0
    ]
    counted = [f"{person} counts for {' or '.join(asked[seat[0]].any_of)}" for seat, person in sorted(seated.items())]
    return "; ".join([*counted, f"needs {' and '.join(lacking)}"]) if lacking else ""


def _groups(groups: Sequence[Group]) -> Sequence[Group]:
    return groups or (Group(any_of=(OPERATOR,)),)


def _belongs(group: Group, person: str, roles: Roles) -> bool:
    return person in group.any_of or not set(group.any_of).isdisjoint(roles.get(person, ()))


def _seated(groups: Sequence[Group], people: Collection[str], roles: Roles) -> dict[Seat, str]:
    """A largest assignment of people to seats."""
    seats = {
        person: [
            (index, seat) for index, group in enumerate(groups) if _belongs(group, person, roles) for seat in range(group.count)
        ]
        for person in dict.fromkeys(people)
    }
    taken: dict[Seat, str] = {}
    for person in seats:
        _find_seat(person, seats, taken, set())
    return taken


def _find_seat(person: str, seats: Mapping[str, list[Seat]], taken: dict[Seat, str], tried: set[Seat]) -> bool:
    """Seat this person, asking those who sit already to move where they can."""
    for seat in seats[person]:
        if seat in tried:
            continue
        tried.add(seat)
        if seat not in taken or _find_seat(taken[seat], seats, taken, tried):
            taken[seat] = person
            return True
    return False
