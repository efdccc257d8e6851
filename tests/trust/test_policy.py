"""Who may steer, and who has a hand in what is to be approved."""

import pytest

from agent.errors import RefusedError
from agent.trust import people
from agent.trust.authors import Identity, is_author
from agent.trust.people import Person, Policy, fingerprint, ssh_key
from agent.trust.policy import require

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJXj1csvAYKM432FLY1XzX65kqKLMacBmoFV7A7zu8tt"
POLICY = Policy(
    people=(Person("alice", (KEY,), ("operator",), "alice@example.com"), Person("bob", (), ("ops",)), Person("nina")),
    verbs={"stop": ("operator", "ops"), "start": ("nina",), "override": ()},
)


@pytest.mark.parametrize(
    ("verb", "person"),
    [("stop", "alice"), ("stop", "bob"), ("start", "nina"), ("retry", "alice"), ("approve", "nina"), ("reject", "nobody")],
)
def test_may(verb, person):
    require(POLICY, verb, person)


@pytest.mark.parametrize(
    ("verb", "person", "words"),
    [
        ("stop", "nina", "nina may not stop: that is for operator or ops"),
        ("start", "alice", "alice may not start: that is for nina"),
        ("retry", "bob", "bob may not retry: that is for operator"),
        ("override", "alice", "that is for nobody"),
        ("stop", "nobody", "nobody may not stop"),
    ],
)
def test_may_not(verb, person, words):
    with pytest.raises(RefusedError, match=words):
        require(POLICY, verb, person)


def test_the_policy_survives_json():
    assert people.decode(people.encode(POLICY)) == POLICY
    with pytest.raises(ValueError, match="not enough values"):
        people.decode("[]")


@pytest.mark.parametrize(
    ("commits", "pushers", "answer"),
    [
        ([Identity("Someone", "ALICE@example.com")], [], True),
        ([Identity("Alice", "a@home")], [], True),
        ([Identity("Alice L", "alice@elsewhere")], [], False),
        ([], ["alice"], True),
        ([], ["alice@192.0.2.1"], True),
        ([], ["alice@example.com"], True),
        ([], ["git@192.0.2.1", ""], False),
        ([Identity("", "")], [""], False),
    ],
)
def test_four_eyes_are_two_pairs(commits, pushers, answer):
    assert is_author(POLICY.person("alice"), commits, pushers) is answer


def test_keys():
    assert ssh_key(KEY) == ("", "ssh-ed25519", KEY.split()[1])
    found = ssh_key(f'cert-authority,valid-before="20270101" {KEY} a comment')
    assert found
    assert (found.options, found.is_authority) == ('cert-authority,valid-before="20270101"', True)
    assert ssh_key("openpgp:" + "A" * 40) is None
    assert ssh_key(f"{KEY}\nalice {KEY}") is None
    assert fingerprint("openpgp:abcd 0123") == "ABCD0123"
    assert fingerprint(KEY) == ""
