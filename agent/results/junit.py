"""JUnit XML reports of an action, summed up.

The reports come from the scripts of a push: a document type (the only place where entities can be declared) ends the reading,
sizes and depth are capped, and a report that cannot be read is a notice, never a failure of the action.
"""

from collections.abc import Iterable
from typing import NamedTuple
from xml.parsers import expat

from agent.model.outcome import TestSummary

MAX_SIZE = 32 * 1024**2  # bytes of one report
MAX_DEPTH = 100  # elements inside one another
MAX_FAILED = 20  # names kept
MAX_NAME = 200  # characters of a name
_RESULTS = ("error", "failure", "skipped")  # a test that has several counts as the first


class Summed(NamedTuple):
    """The sums, None if no report could be read, and what to tell about the others."""

    summary: TestSummary | None
    notices: tuple[str, ...]


class _Refused(Exception):
    """The report is XML, but none that is read here."""


class _Reading:
    """Counts the test cases of one report while expat goes through it."""

    def __init__(self) -> None:
        self.counts = {"tests": 0, "error": 0, "failure": 0, "skipped": 0}
        self.failed: list[str] = []
        self._path: list[str] = []
        self._case = ""
        self._found: set[str] = set()

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = _local(tag)
        if not self._path and name not in {"testsuite", "testsuites"}:
            raise _Refused(f"its root is <{_clean(name)}>, not <testsuite> or <testsuites>")
        if self._path and self._path[-1] == "testcase":
            self._found.add(name)
        self._path.append(name)
        if len(self._path) > MAX_DEPTH:
            raise _Refused(f"more than {MAX_DEPTH} elements stand inside one another")
        if name == "testcase":
            self._case = ".".join(part for part in (attributes.get("classname"), attributes.get("name")) if part)
            self._found = set()

    def end(self, tag: str) -> None:
        self._path.pop()
        if _local(tag) == "testcase":
            self._count()

    def doctype(self, *_: object) -> None:
        raise _Refused("it has a document type, which is not read")

    def _count(self) -> None:
        self.counts["tests"] += 1
        result = next((result for result in _RESULTS if result in self._found), None)
        if result:
            self.counts[result] += 1
        if result in {"error", "failure"} and len(self.failed) < MAX_FAILED:
            self.failed.append(_clean(self._case) or "(without a name)")


def summarize(reports: Iterable[tuple[str, bytes]]) -> Summed:
    """Sum up reports, given by name and content. The order of the reports is the order of the failed tests."""
    total, notices = TestSummary(), []
    read = 0
    for name, content in reports:
        try:
            total = _add(total, parse(content))
            read += 1
        except ValueError as error:
            notices.append(f"the report {name} is left out: {error}")
    return Summed(total if read else None, tuple(notices))


def parse(content: bytes) -> TestSummary:
    """The sums of one report. Raises ValueError, with the reason, if it is no JUnit XML."""
    if len(content) > MAX_SIZE:
        raise ValueError(f"it has more than {MAX_SIZE // 1024**2} MB")
    reading = _Reading()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.StartDoctypeDeclHandler = reading.doctype
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError, UnicodeError, _Refused) as error:
        raise ValueError(str(error)) from error
    counts = reading.counts
    return TestSummary(
        tests=counts["tests"],
        failures=counts["failure"],
        errors=counts["error"],
        skipped=counts["skipped"],
        failed=tuple(reading.failed),
    )


def _add(one: TestSummary, other: TestSummary) -> TestSummary:
    return TestSummary(
        tests=one.tests + other.tests,
        failures=one.failures + other.failures,
        errors=one.errors + other.errors,
        skipped=one.skipped + other.skipped,
        failed=(one.failed + other.failed)[:MAX_FAILED],
    )


def _local(tag: str) -> str:
    """The name without a namespace prefix."""
    return tag.rpartition(":")[2]


def _clean(text: str) -> str:
    """Fit for a terminal and a note: one line, no control characters, not endless."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)[:MAX_NAME]
