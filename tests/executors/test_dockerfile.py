"""What a Dockerfile brings in from elsewhere."""

import pytest

from agent.executors.dockerfile import brought

IMAGES = {  # by Dockerfile, built with V=9
    "FROM alpine": ["alpine"],
    "\ufeff# a comment\n\n  from  --platform=linux/arm64 alpine:3 AS base\nFROM BASE\nFROM scratch": ["alpine:3"],
    "FROM a AS one\nFROM one\nCOPY --from=one x y\nCOPY --from=0 x y\nCOPY --chown=1 --from=tool:2 x y": ["a", "tool:2"],
    "ARG V=3\nARG W=$V\nFROM alpine:$V\nFROM alpine:${W}-slim\nFROM ${X:-busybox}": ["alpine:9", "alpine:9-slim", "busybox"],
    'ARG W="3"\nFROM a:$W\nFROM b:$V': ["a:3", "b:"],  # an argument that is not declared is empty
    "FROM a AS late\nARG W=3\nFROM b:$W": ["a", "b:"],  # and so is one of a stage
    "FR\\\n# in the middle\n\nOM evil": ["evil"],
    "# escape=`\nFROM `\n evil": ["evil"],
    "FROM a\nRUN echo \\\nFROM b\nFROM c": ["a", "c"],
    "FROM a\nONBUILD COPY --from=b x y": ["a", "b"],
}


@pytest.mark.parametrize("text", IMAGES)
def test_the_images_are_told(text):
    found = brought(text, {"V": "9"})
    assert list(found.images) == IMAGES[text]
    assert not found.unclear


@pytest.mark.parametrize("line", ["FROM $A", "FROM ${A%x}", "FROM a b", 'FROM "a"', "COPY --from=$A x y", "FROM"])
@pytest.mark.parametrize("before", ["", "ARG A='x' A=good\n", 'ARG A="q B=good"\n', "ARG A=x\\ y\n"])
def test_what_is_not_clear_is_told(before, line):
    found = brought(f"{before}{line}", {})
    assert found.unclear == (line,)
    assert not found.images


@pytest.mark.parametrize(
    "rest", ["http://a/b /", "https://a /", "git@a:b /", "$URL /", '["ht\\u0074p:a", "/"]', "--chown=1 http://a /"]
)
def test_what_the_engine_would_fetch_is_told(rest):
    assert brought(f"FROM a\nADD {rest}", {}).fetched == (f"ADD {rest}",)
    assert not brought("FROM a\nADD app.tar.gz /srv", {}).fetched
