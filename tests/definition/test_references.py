"""References in texts: found, not computed, replaced once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.definition.references import Reference, foreign, malformed, references, replace


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("${{ source.commit }}", [("source", "commit")]),
        ("${{source.commit}}${{ a.b }}", [("source", "commit"), ("a", "b")]),
        ("${{ my.action-1.out_put }}", [("my.action-1", "out_put")]),
        ("${{\n a.b\t}}", [("a", "b")]),
        ("$${{ a.b }}", [("a", "b")]),
        ("${ a.b } {{ a.b }} $( a.b )", []),
        ("${{ a }} ${{ }} ${{ a b.c }} ${{ .a }} ${{ a. }} ${{ ä.b }}", []),
        ("${{ a.b", []),
    ],
)
def test_references(text, found):
    assert [(one.namespace, one.key) for one in references(text)] == found


def test_places():
    text = "x ${{ a.b }} y"
    assert references(text) == (Reference("a", "b", 2, 12),)
    assert text[2:12] == "${{ a.b }}"


@pytest.mark.parametrize(
    ("text", "count"), [("${{ a }}", 1), ("${{ a.b", 1), ("${{ a.b }}", 0), ("${{ ${{ a.b }} }}", 1), ("${{" * 9, 1)]
)
def test_malformed(text, count):
    assert len(malformed(text)) == count


def test_foreign():
    assert [one.text for one in foreign('a #{x.y} #{x} ${#x} #{x["y"]} #{b-1.c_2}')] == ["#{x.y}", "#{b-1.c_2}"]


def test_values_are_not_looked_at_again():
    assert replace("${{ a.b }}${{ a.c }}", lambda one: {"b": "${{ a.c }}", "c": "1"}[one.key]) == "${{ a.c }}1"


def test_none_leaves_a_reference():
    assert replace("<${{ a.b }}-${{ a.c }}>", lambda one: "1" if one.key == "c" else None) == "<${{ a.b }}-1>"


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,10}", fullmatch=True)
literals = st.text(alphabet="abc {}$#.\n", max_size=8).filter(lambda text: "${{" not in text and not text.endswith(("$", "${")))


@given(st.lists(st.tuples(literals, names, names)), literals)
def test_every_reference_is_found_and_everything_else_stays(parts, end):
    text = "".join(f"{before}${{{{ {namespace}.{key} }}}}" for before, namespace, key in parts) + end
    assert [(one.namespace, one.key) for one in references(text)] == [(namespace, key) for _, namespace, key in parts]
    assert replace(text, lambda one: f"<{one.key}>") == "".join(f"{before}<{key}>" for before, _, key in parts) + end
    assert malformed(text) == ()
