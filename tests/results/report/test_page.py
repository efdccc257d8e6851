"""The page holds all that there is to say of an execution, and nothing that reaches out or that a pusher could run."""

import re
from html.parser import HTMLParser

import pytest

from agent.model.ids import attempt_id
from agent.results.report.page import Shown, page
from tests.support.stories import NOON, Story, action, plan, stage
from tests.support.tales import CASES

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


class Elements(HTMLParser):
    """What elements a page has; void ones are not closed."""

    VOID = frozenset({"meta", "br", "img"})

    def __init__(self, text):
        super().__init__()
        self.names, self.open, self.ids, self.links = set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given and tag != "marker" else []
        self.links += [given["href"]] if "href" in given else []
        assert not [name for name in given if name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.names.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def rendered(*stories, subject="", logs=None):
    records = [story.record for story in stories]
    return page("Pipelines", [Shown(one, subject, "", logs or {}) for one in records], records, {}, NOON)


def words(text):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_execution_makes_a_sound_page(name):
    stories = CASES[name]()
    found = Elements(rendered(*stories))
    assert not found.open
    assert len(found.ids) == len(set(found.ids))
    assert {link[1:] for link in found.links if link.startswith("#")} <= set(found.ids)
    assert not found.names & {"script", "link", "iframe", "img", "object", "form"}


def test_what_a_success_says():
    (story,) = CASES["success"]()
    said = words(rendered(story, subject="Add the sum"))
    for part in ("release #42 Succeeded", "push to main by alice", "Add the sum", "artifact dist (3 files, 1.2 MB)",
                 f"sha256:{'ab' * 32}", "124 tests, 1 skipped", "approved by bob: looks fine", f"tag {'c0' * 6}",
                 "approval by qa-lead"):  # fmt: skip
        assert part in said


def test_logs_are_folded_but_for_that_of_a_failure():
    (story,) = CASES["failure"]()
    execution = story.execution.id
    logs = {attempt_id(execution, "build", "package", 1): b"all well\n", attempt_id(execution, "build", "unit", 1): b"2 failed\n"}
    text = rendered(story, logs=logs)
    folded, shown = re.findall(r"<details( open)?><summary>log of attempt 1", text)
    assert (folded, shown) == ("", " open")
    assert "all well" in text
    assert "2 failed" in text


def test_nothing_that_others_wrote_becomes_markup():
    story = Story(plan(stage("build", action(HOSTILE))), actor=HOSTILE, variables={"note": HOSTILE})
    story.begin().enter("build").start("build", HOSTILE)
    story.end("build", HOSTILE, outputs={"key": HOSTILE}, link=f"javascript:{HOSTILE}", resolved={"env": HOSTILE})
    story.leave("build").finish(message=HOSTILE)
    logs = {attempt_id(story.execution.id, "build", HOSTILE, 1): HOSTILE.encode()}
    text = rendered(story, subject=HOSTILE, logs=logs)
    assert not Elements(text).names & {"script", "img"}
    assert 'href="javascript' not in text
    assert text.count("&lt;script&gt;") >= 6


def test_nothing_is_fetched():
    (story,) = CASES["success"]()
    text = rendered(story)
    assert "default-src 'none'" in text
    assert not re.findall(r"""(?:src|href)=["'](?!#)|url\(|@import""", text)
