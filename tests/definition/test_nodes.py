"""The YAML reader: positions, what is kept, and its guards."""

import pytest

from agent.definition.nodes import MAX_DEPTH, MAX_NODES, BrokenFileError, Items, Scalar, Table, decode, plain, read, walk
from agent.model.span import Span


def code(text):
    with pytest.raises(BrokenFileError) as error:
        read("f.yaml", text)
    return error.value.diagnostic.code


def test_positions_are_those_of_an_editor():
    root, _ = read("f.yaml", "a:\n  - ü: [x, 'yy']\n")
    assert isinstance(root, Table)
    items = root.get("a")
    assert isinstance(items, Items)
    inner = items.items[0]
    assert isinstance(inner, Table)
    assert inner.key("ü") == Scalar("ü", True, Span("f.yaml", 2, 5), 1, 2)
    last = inner.get("ü")
    assert isinstance(last, Items)
    assert last.items[1] == Scalar("yy", False, Span("f.yaml", 2, 12), 4, 2)


def test_the_text_is_what_was_written():
    root, _ = read("f.yaml", "[3.10, no, 012, 1e3, 2024-01-01, 0x1F, '~', ~, null, '']")
    assert plain(root) == ["3.10", "no", "012", "1e3", "2024-01-01", "0x1F", "~", None, None, ""]


def test_lines_end_where_yaml_ends_them():
    text = decode("p.yaml", b"\ra: 1\r\nb: 2\xc2\x85c: 3\r")
    assert text == "\na: 1\r\nb: 2\nc: 3\n"
    node, _ = read("p.yaml", text)
    assert [key.span.line for key, _ in node.entries] == [2, 3, 4]


def test_the_first_of_two_equal_keys_is_kept():
    root, diagnostics = read("f.yaml", "a: 1\nb: 2\na: 3\n")
    assert plain(root) == {"a": "1", "b": "2"}
    assert [(one.code, one.span.line) for one in diagnostics] == [("GP012", 3)]


def test_walk_sees_keys_and_values():
    root, _ = read("f.yaml", "a: [b, {c: d}]")
    assert [scalar.text for scalar in walk(root)] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "{? ", "[{a: "])
def test_depth(opening):
    assert code(opening * 30_000) in {"GP009", "GP014", "GP007"}  # the C composer of the package crashes on these
    assert code("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)) == "GP009"
    read("f.yaml", "[" * MAX_DEPTH + "]" * MAX_DEPTH)


def test_number_of_values():
    assert code("[" + "a," * MAX_NODES + "]") == "GP009"


def test_merge_keys_and_aliases_are_never_expanded():
    bomb = "a0: &a0 {x: y}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 30))
    assert code(bomb) == "GP010"


def test_decoding():
    assert decode("f.yaml", b"\xef\xbb\xbfa: 1") == "a: 1"
    with pytest.raises(BrokenFileError) as error:
        decode("f.yaml", b"a: 1\nb: \xff")
    assert error.value.diagnostic.span == Span("f.yaml", 2, 4)


@pytest.mark.parametrize("text", ["\x00", "a: '\x85\x00'", "a: \ufffe", 'a: "\\ud800"', 'a: "\\U00110000"', "\x1b[31m: b"])
def test_characters_that_yaml_does_not_know(text):
    with pytest.raises(BrokenFileError):
        read("f.yaml", text)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_that_is_no_text_is_told_by_its_character(mark):
    with pytest.raises(BrokenFileError) as caught:
        decode("x.yaml", mark + "a: b\nü: ".encode() + b"\xff\n")
    assert caught.value.diagnostic.span == Span("x.yaml", 2, 4)
    assert "0xff" in caught.value.diagnostic.message
