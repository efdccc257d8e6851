"""How mistakes are shown: to people, to programs, in GitHub's log."""

import json

from agent.definition.diagnostics import Diagnostic, ordered, render
from agent.model.span import Span

SOURCES = {"a.yaml": "first: x\n\tsecond: y\r\n"}


def shown(line=1, column=1, width=1, hint="", form="text", path="a.yaml", message="wrong"):
    return render([Diagnostic("GP101", Span(path, line, column), message, hint, width)], SOURCES, form)


def test_the_line_a_caret_and_the_hint():
    assert shown(1, 8, 1, "do this") == ("a.yaml:1:8: GP101 wrong\n    1 | first: x\n      |        ^\n   hint: do this")


def test_the_caret_stands_below_its_place_after_a_tab():
    assert shown(2, 2, 6).split("\n")[1:] == ["    2 | \tsecond: y", "      | \t^~~~~~"]


def test_a_width_ends_with_the_line():
    assert shown(1, 8, 50).split("\n")[2] == "      |        ^"


def test_a_whole_file_has_no_line():
    assert shown(0, 0) == "a.yaml: GP101 wrong"


def test_a_place_behind_the_end_has_no_source():
    assert shown(9, 1) == "a.yaml:9:1: GP101 wrong"


def test_a_long_line_is_cut_around_the_place():
    lines = render([Diagnostic("GP101", Span("b", 1, 501), "wrong", "", 3)], {"b": "a" * 500 + "BCD" + "e" * 500}).split("\n")
    caret = lines[2].index("^")
    assert lines[1][caret : caret + 3] == "BCD"
    assert len(lines[1]) < 180


def test_control_characters_do_not_reach_the_terminal():
    text = render([Diagnostic("GP101", Span("b", 1, 1), "\x1b[31m", "\x9b2J\nsecond")], {"b": "\x1b]0;x\x07"})
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert text.split("\n")[-1] == "second"


def test_json():
    assert json.loads(shown(1, 8, hint="do", form="json")) == [
        {"code": "GP101", "file": "a.yaml", "line": 1, "column": 8, "message": "wrong", "hint": "do"}
    ]
    assert render([], {}, "json") == "[]"


def test_github_escapes_what_its_runner_would_read():
    assert shown(1, 8, hint="50%", form="github", path="a,b:c.yaml", message="x::y") == (
        "::error file=a%2Cb%3Ac.yaml,line=1,col=8,title=GP101::GP101 x::y%0Ahint: 50%25"
    )
    assert shown(0, 0, form="github").startswith("::error file=a.yaml,line=1,col=1,")
    assert render([], {}, "github") == ""


def test_order_is_that_of_the_files():
    places = [Span("b", 1, 1), Span("a", 10, 1), Span("a", 9, 5), Span("a", 9, 1)]
    told = ordered(Diagnostic("GP101", place, "wrong") for place in [*places, *places])
    assert [one.span for one in told] == [Span("a", 9, 1), Span("a", 9, 5), Span("a", 10, 1), Span("b", 1, 1)]
