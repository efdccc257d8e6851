"""The grammar of control tags, there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import RefusedError
from agent.trust.names import PARTS, TagName, form, is_control, parse

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)


@st.composite
def tags(draw):
    verb = draw(st.sampled_from(list(PARTS)))
    number = draw(st.integers(1, 999_999_999)) if "number" in PARTS[verb] else 0
    return TagName(verb, draw(names), number, draw(names) if "stage" in PARTS[verb] else "", draw(names))


@given(tags())
def test_there_and_back(tag):
    assert parse(f"refs/tags/{tag.text}") == tag
    assert is_control(f"refs/tags/{tag.text}")


@given(st.text(alphabet=st.sampled_from("ab1/._-$ é\n")), st.sampled_from(list(PARTS)))
def test_anything_is_a_tag_or_refused_with_the_form(text, verb):
    refused = None
    try:
        found = parse(f"refs/tags/{verb}/{text}")
    except RefusedError as error:
        refused = error
    if refused:
        assert form(verb) in refused.hint
    else:
        assert found.text == f"{verb}/{text}"


@pytest.mark.parametrize(
    ("ref", "answer"),
    [
        ("refs/tags/approve/release/1/x/y", True),
        ("refs/tags/approve", True),
        ("refs/tags/approve/", True),
        ("refs/tags/approved/release", False),
        ("refs/tags/v1", False),
        ("refs/heads/approve/release/1/x/y", False),
        ("refs/notes/approve/x", False),
    ],
)
def test_what_is_ours_to_judge(ref, answer):
    assert is_control(ref) is answer


def test_a_verb_that_there_is_not():
    with pytest.raises(RefusedError, match="there is no verb bless"):
        parse("refs/tags/bless/release/x")


def test_subjects_for_people():
    assert parse("refs/tags/approve/release/42/production/alice").subject == "release #42 production"
    assert parse("refs/tags/stop/release/42/alice").subject == "release #42"
    assert parse("refs/tags/disable/release/production/alice").subject == "release production"
