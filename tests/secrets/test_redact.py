"""A secret in any of its disguises, cut anywhere, never comes out; what is no secret always does, to the byte."""

import base64
import json
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.secrets.redact import MASK, Redactor, forms

SECRET = b'p&ss/w0rd+"q\xc3\xa9=1'
MULTI = b"-----BEGIN KEY-----\nAAAAB3NzaC1yc2EAAAADAQAB\nq0/+zz==\n-----END KEY-----\n"


def mask(values: list[bytes], *pieces: bytes) -> bytes:
    redactor = Redactor(values)
    return b"".join(redactor.feed(piece) for piece in pieces) + redactor.finish()


DISGUISES = {
    "raw": SECRET,
    "base64": base64.b64encode(SECRET),
    "base64 after one byte": base64.b64encode(b"x" + SECRET),
    "base64 after two bytes": base64.b64encode(b"xy" + SECRET),
    "base64 inside a longer text": base64.b64encode(b"user:" + SECRET + b"@example.com"),
    "urlsafe base64": base64.urlsafe_b64encode(b"user:" + SECRET + b"@example.com"),
    "url, everything quoted": quote(SECRET, safe="").encode(),
    "url, slashes kept": quote(SECRET).encode(),
    "form": quote_plus(SECRET).encode(),
    "json": json.dumps(SECRET.decode()).encode(),
    "json, not only ascii": json.dumps(SECRET.decode(), ensure_ascii=False).encode(),
    "json with escaped slashes": json.dumps(SECRET.decode()).replace("/", "\\/").encode(),
    "hexadecimal": SECRET.hex().encode(),
    "hexadecimal in capitals": SECRET.hex().upper().encode(),
}


@pytest.mark.parametrize("name", DISGUISES)
def test_lesson_1_18_a_secret_is_found_in_each_disguise(name):
    shown = mask([SECRET], b"before " + DISGUISES[name] + b" after")
    assert MASK in shown
    assert not any(form in shown for form in forms(SECRET))
    assert shown.startswith(b"before ")
    assert shown.endswith(b" after")


@pytest.mark.parametrize("line", [line for line in MULTI.splitlines() if len(line) >= 4])
def test_each_line_of_a_value_is_a_secret(line):
    assert mask([MULTI], b"> " + line + b"\n") == b"> ***\n"


def test_a_secret_across_chunks_is_found():
    for at in range(1, len(SECRET)):
        assert mask([SECRET], b"a" + SECRET[:at], SECRET[at:] + b"z") == b"a***z"


def test_the_longest_secret_wins_where_one_starts_another():
    assert mask([b"token", b"tokenizer"], b"tokeni", b"zer token tokeniz") == b"*** *** ***iz"


def test_nothing_is_held_back_that_cannot_become_a_secret():
    redactor = Redactor([b"secret"])
    assert redactor.feed(b"Password: ") == b"Password: "
    assert redactor.feed(b"se") == b""
    assert redactor.feed(b"lf") == b"self"


def test_short_values_are_not_masked():
    assert mask([b"abc", b""], b"abc abcd") == b"abc abcd"


@given(
    values=st.lists(st.binary(min_size=1, max_size=12), max_size=3),
    text=st.lists(st.sampled_from([b"ab", b"abab", b"a", b"x\n", SECRET, b"YWJhYg=="]), max_size=12).map(b"".join),
    cuts=st.lists(st.integers(0, 200), max_size=8),
)
def test_the_result_does_not_depend_on_the_cuts(values, text, cuts):
    edges = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[start:end] for start, end in pairwise(edges)]
    for known in (values, [b"abab", b"aba", *values]):
        assert mask(known, *pieces) == mask(known, text)


@given(text=st.binary(max_size=200), cut=st.integers(0, 200))
def test_text_without_secrets_comes_out_as_it_went_in(text, cut):
    assert mask([b"\x00never-in-there\x00"], text[:cut], text[cut:]) == text
