import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.actions import outputs
from agent.actions.outputs import OutputError


def values(text, *declared):
    return outputs.parse(text.encode(), declared).values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version=1.2", {"version": "1.2"}),
        ("version=1.2\n", {"version": "1.2"}),
        ("version=1.2\r\n", {"version": "1.2"}),
        ("\n\nversion=\n\n", {"version": ""}),
        ("version= a = b << c ", {"version": " a = b << c "}),
        ("version=1\nversion=2\n", {"version": "2"}),
        ("version<<EOF\none\n\ntwo=2\nEOF\n", {"version": "one\n\ntwo=2"}),
        ("version<<EOF\nEOF", {"version": ""}),
        ("version<< E=F\na\n EOF\nE=F\n", {"version": "a\n EOF"}),
        ("version=é 日本\n", {"version": "é 日本"}),
    ],
)
def test_forms(text, expected):
    assert values(text, "version") == expected


def test_only_declared_names_are_kept_and_the_others_told():
    found = outputs.parse(b"a=1\nb=2\nc<<E\nx\nE\n", ("b",))
    assert found == ({"b": "2"}, ("a", "c"))


def test_a_missing_output_says_how_to_set_it():
    with pytest.raises(OutputError) as caught:
        values("a=1", "a", "version")
    assert "version" in caught.value.message
    assert 'echo "version=VALUE" >> "$PIPELINE_OUTPUT"' in caught.value.hint


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("version", 1),
        ("ok=1\n\nno shape here", 3),
        ("a b=1", 1),
        ("=1", 1),
        ("1a=1", 1),
        ("ok=1\nx<<", 2),
        ("ok=1\nx<<EOF\na\nb\n", 2),
        ("ok=1\nx=a\0b", 2),
        ("\x1b[31mred=1", 1),
    ],
)
def test_a_bad_line_is_named(text, line):
    with pytest.raises(OutputError, match=rf"line {line}:"):
        values(text)


def test_what_is_not_utf8_is_named():
    with pytest.raises(OutputError, match="line 2: it is not UTF-8"):
        outputs.parse(b"a=1\nb=\xff\n", ())


def test_the_limit():
    assert outputs.parse(b"a=" + b"x" * (outputs.LIMIT - 2), ("a",))
    with pytest.raises(OutputError, match="122880"):
        outputs.parse(b"a=" + b"x" * (outputs.LIMIT - 1), ("a",))


name = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,20}", fullmatch=True)
text = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=80)


@given(st.dictionaries(name, text, max_size=8))
def test_what_is_written_as_blocks_is_read(made):
    made = {key: value.replace("\r\n", "\n").removesuffix("\r") for key, value in made.items()}
    written = "".join(f"{key}<<-end-of-{key}-\n{value}\n-end-of-{key}-\n" for key, value in made.items())
    assert outputs.parse(written.encode(), tuple(made)).values == made


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused_in_words(content):
    try:
        found = outputs.parse(content, ())
    except OutputError as error:
        told = error.message
        assert told.startswith("$PIPELINE_OUTPUT, line ")
        assert told.isprintable()
        return
    assert found.values == {}
