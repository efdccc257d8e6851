"""What the field has learned about security the hard way, and the tests that hold us to it: `pytest -k lesson_1_14`.

Each lesson has tests named after it, where the code is that must hold; here is the list, and a test that none is without.
"""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NAMED = re.compile(r"^ *def test_lesson_1_(\d+)_\w+\(", re.MULTILINE)
LESSONS = {
    1: "a pushed pipeline cannot widen what pushes may do: trust comes from the ref, the signer and the operator",
    2: "a name, a message or a variable never becomes code: git accepts $(…), quotes, ; and a leading - in a ref",
    3: "an unprotected ref gets no secret, whatever its pipeline asks for",
    4: "what an unprotected ref caches is read by nobody else",
    5: "an image that moves under its name shows: the record has the digest of what ran",
    6: "what a push brings is judged in the quarantine; no ref moves there",
    7: "a signature that is good and of an unknown key is none",
    8: "keys are judged by the time of receipt, not by the date that the signer writes",
    9: "delimiters in options, names and messages stay text",
    10: "a tag counts once, under its own name, in one repository, and never moves",
    11: "nothing of the environment of a hook reaches what it starts",
    12: "the output of a hook does not hold the push",
    13: "a repository of somebody else is read without trusting all directories",
    14: "a hostile tree is not followed: links, submodules, filters, strange modes",
    15: "YAML bombs and huge files have an answer in time",
    16: "a container has no mounts, sockets, devices, privileges but those of its work",
    17: "cleaning up asks for what is ours, and an empty filter is a bug",
    18: "secrets are masked in every usual disguise, across chunks, before the disk",
    19: "logs in git are for ever: masked first, and capped",
    20: "the policy in force at each step decides, and the record names it",
    21: "a retry asks again",
    22: "an unknown or changed host key ends the connection",
    23: "nobody pushes the agent's notes, and forged ones show",
}


def named() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for path in sorted(HERE.rglob("*.py")):
        for one in NAMED.finditer(path.read_text()):
            found.setdefault(int(one[1]), []).append(str(path.relative_to(HERE)))
    return found


@pytest.mark.parametrize("number", LESSONS)
def test_every_lesson_has_a_test_of_its_name(number):
    assert named().get(number), f"lesson 1.{number}: {LESSONS[number]}"


def test_every_test_named_after_a_lesson_is_of_one_that_is_listed():
    assert named().keys() <= LESSONS.keys()
