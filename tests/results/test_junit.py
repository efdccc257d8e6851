import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.outcome import TestSummary as Summary
from agent.results import junit

PYTEST = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4" time="0.1">
<testcase classname="tests.test_a" name="test_ok" time="0.01"/>
<testcase classname="tests.test_a" name="test_bad[x&lt;y]"><failure message="assert">trace</failure></testcase>
<testcase classname="tests.test_b" name="test_fixture"><error message="boom"/></testcase>
<testcase classname="tests.test_b" name="test_later"><skipped type="pytest.skip">why</skipped></testcase>
</testsuite></testsuites>"""
SUREFIRE = b"""<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" name="T" tests="2">
<properties><property name="java" value="17"/></properties>
<testcase name="one"><system-out><![CDATA[<failure/>]]></system-out></testcase>
<testcase name="two"><failure/><error/></testcase></testsuite>"""
BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<testsuite><testcase name="&b;"/></testsuite>"""
EXTERNAL = (
    b"""<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><testsuite><testcase name="&e;"><failure/></testcase></testsuite>"""
)


def test_sums():
    summed = junit.summarize([("a.xml", PYTEST), ("b.xml", SUREFIRE)])
    assert summed.summary == Summary(
        tests=6, failures=1, errors=2, skipped=1, failed=("tests.test_a.test_bad[x<y]", "tests.test_b.test_fixture", "two")
    )
    assert summed.notices == ()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (BOMB, "document type"),
        (EXTERNAL, "document type"),
        (b"<html><body/></html>", "root is <html>"),
        (b"<testsuite><testcase></testsuite>", "mismatched tag"),
        (b"", "no element"),
        (b"\xff\xfe\x00", ""),
        (b"<testsuite>" + b"<a>" * 200, "inside one another"),
        (b'<?xml version="1.0" encoding="nonsense"?><testsuite/>', "encoding"),
    ],
)
def test_what_cannot_be_read_is_a_notice(content, why):
    summed = junit.summarize([("bad.xml", content), ("good.xml", PYTEST)])
    assert summed.summary
    assert summed.summary.tests == 4
    assert len(summed.notices) == 1
    assert "bad.xml" in summed.notices[0]
    assert why in summed.notices[0]


def test_no_report_is_no_summary():
    assert junit.summarize([]) == (None, ())
    assert junit.summarize([("a", b"")]).summary is None


def test_an_empty_suite_is_a_summary():
    assert junit.summarize([("a", b"<testsuites/>")]).summary == Summary()


def test_names_are_kept_few_short_and_fit_for_a_terminal():
    cases = "".join(f'<testcase name="&#10;t{n} {"x" * 500}&#x85;"><failure/></testcase>' for n in range(30))
    summary = junit.parse(f"<testsuite>{cases}</testsuite>".encode())
    assert summary.failures == 30
    assert len(summary.failed) == 20
    assert all(name.isprintable() and len(name) <= 200 for name in summary.failed)


def test_a_report_that_is_too_big_is_not_parsed():
    with pytest.raises(ValueError, match="32 MB"):
        junit.parse(b"x" * (junit.MAX_SIZE + 1))


@given(st.binary(max_size=300))
def test_any_bytes(content):
    junit.summarize([("a", content), ("b", b"<testsuite>" + content)])
