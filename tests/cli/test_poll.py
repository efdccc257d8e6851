"""Looking again and again: less often while nothing changes, and on through trouble."""

from itertools import pairwise

from agent.cli.poll import FETCHED, LONGEST, Poll
from agent.cli.remote import Clone, client, fetch
from tests.support.published import git
from tests.support.stories import Story, action, plan, stage


def test_the_pause_grows_while_nothing_changes_and_trouble_is_told_once(repositories, capsys):
    story = Story(plan(stage("build", action("unit"))), number=1, commit=repositories.commit("one"))
    repositories.record(story.begin().enter("build").record)
    clone = Clone(client(str(repositories.clone / ".git"), {"PATH": "/usr/bin:/bin"}))
    assert fetch(clone.git, logs=False) == ""
    pauses: list[float] = []
    poll = Poll(clone, clone.recent(1)[0], None, None, pauses.append)
    for _ in range(8):
        poll.again(logs=False)
    assert pauses[0] == FETCHED
    assert pauses[-1] == LONGEST
    assert all(before < after or after == LONGEST for before, after in pairwise(pauses))
    repositories.record(story.start("build", "unit").record)
    assert poll.again(logs=False).stages[0].actions[0].started_at
    git(repositories.clone, "remote", "set-url", "origin", "/nowhere")
    for _ in range(2):
        poll.again(logs=False)
    assert pauses[-2:] == [FETCHED, FETCHED * 1.5]
    assert capsys.readouterr().err.count("cannot fetch from origin") == 1


def test_a_pause_that_was_asked_for_stays(repositories):
    story = Story(plan(stage("build", action("unit"))), number=1, commit=repositories.commit("one"))
    repositories.record(story.begin().record)
    clone = Clone(client(str(repositories.clone / ".git"), {"PATH": "/usr/bin:/bin"}))
    fetch(clone.git, logs=False)
    pauses: list[float] = []
    poll = Poll(clone, clone.recent(1)[0], None, 7, pauses.append)
    for _ in range(3):
        poll.again(logs=False)
    assert pauses == [7, 7, 7]
