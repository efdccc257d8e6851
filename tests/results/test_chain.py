"""The chain of results: one flipped bit, one line less, and a crash in between."""

import json
import random
import re

import pytest

from agent.errors import EnvironmentFault, RefusedError
from agent.execution import events
from agent.model.outcome import Status
from agent.model.plan import RetryMode
from agent.results import chain, record
from agent.results.chain import Head, Placed
from agent.results.record import Link
from agent.results.sign import PrivateKey
from tests.support.sealed import RECORD, Sealed


@pytest.fixture
def repo(tmp_path, keys):
    return Sealed(tmp_path, keys)


def links(repo, *stories):
    return [link for story in stories for link in chain.links_of(repo.line(story))]


def test_each_end_names_the_one_before(repo):
    first, second = repo.passed(1), repo.passed(2)
    one, two = links(repo, first, second)
    assert (one.sequence, one.previous, two.sequence, two.previous) == (1, "", 2, one.digest)
    assert one.digest == chain.digest(repo.line(first))
    assert repo.heads[-1] == Head(sequence=2, digest=two.digest)


def test_what_goes_on_is_signed_and_no_link(repo):
    story = repo.begun(1)
    repo.publish(story)
    assert links(repo, story) == []
    assert chain.check_line(repo.line(story), [repo.key.public]) == repo.key.public


def test_every_bit_of_a_line_counts(repo):
    line = repo.line(repo.passed(1))
    chain.check_line(line, [repo.key.public])
    for place in range(len(line)):
        changed = line[:place] + bytes([line[place] ^ (1 << place % 8)]) + line[place + 1 :]
        with pytest.raises(RefusedError):
            chain.check_line(changed, [repo.key.public])
    for place in random.Random(1).sample(range(len(line)), 50):
        with pytest.raises(RefusedError):
            chain.check_line(line[:place] + line[place + 1 :], [repo.key.public])


def test_every_field_of_a_line_counts(repo):
    """Also where the JSON stays well-formed."""
    told = json.loads(repo.line(repo.passed(1)))
    for field in told:
        changed = json.dumps({**told, field: "x"}, separators=(",", ":")).encode()
        with pytest.raises(RefusedError):
            chain.check_line(changed, [repo.key.public])


def test_another_key_is_another_agent(repo):
    line = repo.line(repo.passed(1))
    other = PrivateKey.generate()
    with pytest.raises(RefusedError, match=re.escape(f"signed by {repo.key.public.fingerprint}")):
        chain.check_line(line, [other.public])
    assert chain.check_line(line, [other.public, repo.key.public]) == repo.key.public


def test_a_retry_ends_again_as_a_new_link(repo):
    story = repo.begun(1)
    repo.answer(story, verb="reject").fail("sign-off", "qa").leave("sign-off", Status.FAILED).finish(Status.FAILED)
    repo.publish(story)
    between = repo.passed(2)
    former = repo.line(story)
    story.tell(events.StageRetried, stage="sign-off", mode=RetryMode.FAILED_ACTIONS, by="alice", actions=("qa",))
    repo.publish(story)
    assert links(repo, story) == [Link(sequence=1, previous="", digest=chain.digest(former))]
    story.enter("sign-off").start("sign-off", "qa", attempt=2, days=7)
    repo.answer(story, "carol").end("sign-off", "qa", attempt=2).leave("sign-off").finish()
    repo.publish(story)
    assert sorted(link.sequence for link in links(repo, story, between)) == [1, 2, 3]
    assert list(chain.breaks(Placed(link, "x") for link in links(repo, story, between))) == []
    assert repo.wrong == []


def test_publishing_again_adds_nothing(repo):
    story = repo.passed(1)
    before = repo.line(story)
    repo.restart()
    repo.publish(story)
    assert (repo.line(story), len(repo.heads)) == (before, 1)


def test_killed_between_publishing_and_keeping(repo):
    repo.passed(1)
    second = repo.passed(2)
    repo.heads.pop()  # the state was not written any more
    repo.restart()
    repo.publish(second)
    third = repo.passed(3)
    assert [link.sequence for link in links(repo, second, third)] == [2, 3]
    assert repo.wrong == []


def test_a_ref_that_moved_although_it_failed(repo, tmp_path):
    """The disk fails after the swap: the next one looks where the chain really stands."""
    story = repo.begun(1)
    repo.publish(story)
    repo.answer(story).end("sign-off", "qa").leave("sign-off").finish()
    edit = repo.notes.edit

    def failing(ref, *more):
        edit(ref, *more)
        if ref == RECORD:
            raise EnvironmentFault("the disk has failed")

    repo.notes.edit = failing
    with pytest.raises(EnvironmentFault):
        repo.publish(story)
    repo.notes.edit = edit
    repo.publish(story)
    repo.passed(2)
    assert repo.wrong == []
    assert repo.chain.head.sequence == 2


def test_a_state_that_was_deleted_goes_on_from_what_is_published(repo):
    repo.passed(1)
    repo.heads.clear()
    repo.restart()
    repo.passed(2)
    assert repo.chain.head.sequence == 2
    assert repo.wrong == []


def test_what_others_claim_does_not_move_the_chain(repo):
    story = repo.passed(1)
    forged = f"a change\n\nChain: 9 {'0' * 64}\n"
    with_notes = repo.git("commit-tree", "-p", RECORD, "-m", forged, f"{RECORD}^{{tree}}", at=repo.bare)
    repo.git("update-ref", RECORD, with_notes, at=repo.bare)
    repo.restart()
    assert repo.chain.head == Head(sequence=1, digest=chain.digest(repo.line(story)))


def test_a_record_that_was_cut_shows_as_soon_as_it_goes_on(repo):
    repo.passed(1)
    kept = repo.git("rev-parse", RECORD, at=repo.bare)
    repo.passed(2)
    repo.git("update-ref", RECORD, kept, at=repo.bare)
    repo.restart()
    repo.passed(3)
    assert "chain: link 2 is missing, before release #3: a result was removed, or replaced by an older form" in repo.wrong


@pytest.mark.parametrize(
    ("numbers", "said"),
    [((1, 2, 3), ""), ((2, 3), "link 1 is missing"), ((1, 4), "links 2 to 3 are missing"), ((1, 1), "there twice")],
)
def test_breaks(numbers, said):
    links = [Link(sequence=number, previous=str(number - 1) if number > 1 else "", digest=str(number)) for number in numbers]
    found = "\n".join(chain.breaks([Placed(link, "x") for link in links]))
    assert (said in found) if said else not found


def test_a_line_without_signature_or_without_sense():
    for line in (b"", b"{}", b'{"signature":""}', b'{"id":"x","signature":"AAAA"}', b"\xff"):
        with pytest.raises(RefusedError):
            chain.check_line(line, [PrivateKey.generate().public])


def test_the_signature_is_the_last_field(repo):
    """Or the text that it is for could be found in two ways."""
    line = repo.line(repo.passed(1))
    assert list(json.loads(line))[-1] == "signature"
    assert record.encode(record.decode(line)[0]) == line
