"""Verification: green over what was published, red at the place of every bit that was changed since."""

import json

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from agent.model.ids import PROVENANCE, SIGNERS
from agent.model.outcome import Reason, Status
from agent.results.sign import PrivateKey
from tests.support.sealed import LOG, PEOPLE, RECORD, Sealed


@pytest.fixture
def repo(tmp_path, keys):
    return Sealed(tmp_path, keys)


def test_all_is_well(repo):
    for number, by in enumerate(("alice", "carol", "frank", "grace"), 1):
        repo.passed(number, by)
    assert repo.wrong == []
    said = [f"{one.place}: {one.words}" for one in repo.verified()]
    assert sum("approved by" in line for line in said) == 4
    assert sum("provenance signed" in line for line in said) == 4


@pytest.mark.parametrize("by", ["bob", "grace", "frank"])
def test_every_kind_of_key_and_what_the_record_says_of_it(repo, by):
    repo.config = repo.config.replace('roles = ["operator"]', 'roles = ["qa-lead"]')
    story = repo.passed(1, by)
    told = json.loads(repo.line(story))
    [answer] = told["stages"][1]["actions"][0]["approval"]["answers"]
    assert answer["signers"] == told["signers"]
    assert answer["fingerprint"] in "\n".join(one.words for one in repo.verified())
    assert told["stages"][0]["actions"][0]["secrets"] == ["TOKEN"]
    assert repo.wrong == []


@pytest.mark.parametrize("ref", [RECORD, PEOPLE, LOG, SIGNERS, PROVENANCE])
def test_one_bit_of_any_object_on_the_disk(repo, ref):
    """Nothing of git notices: the object is well-packed, and git does not hash what it reads."""
    repo.passed(1)
    history = repo.git("rev-list", ref, at=repo.bare).split()
    for oid in dict.fromkeys([*history, *repo.objects(f"{ref}^{{tree}}")]):
        for place in (0, 7, 41, 333, -2):
            former = repo.flip(oid, place)
            assert repo.wrong, f"bit at {place} of {oid}"
            repo.put(oid, former)
    assert repo.wrong == []


def test_one_bit_of_a_tag(repo):
    story = repo.passed(1)
    tag = story.state.stages["sign-off"].actions["qa"].answers[0].tag
    for place in range(0, 700, 13):
        former = repo.flip(tag, place)
        assert any(line.startswith("release #1 sign-off/qa: alice approved it, says the record, but") for line in repo.wrong)
        repo.put(tag, former)
    assert repo.wrong == []


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        (RECORD, "release #1: it was changed after it was signed"),
        (LOG, "release #1 build/package: its log is missing or was changed"),
        (PROVENANCE, "release #1 provenance: it is missing or was changed"),
        (PEOPLE, "refs/notes/pipeline: commit"),
    ],
)
@pytest.mark.parametrize("signed", [False, True])
def test_a_note_that_somebody_rewrote(repo, ref, said, signed):
    """Even in a commit that the agent's key has signed, as far as the record speaks of it."""
    story = repo.passed(1)
    repo.passed(2)
    text = repo.note(ref, story.execution.commit)
    old, new = {LOG: (b"ok", b"ko"), RECORD: (b"fine", b"dine"), PROVENANCE: (b"build", b"built")}.get(ref, (b"rel", b"rol"))
    assert old in text
    changed = text.replace(old, new, 1)
    repo.rewrite(ref, story.execution.commit, changed, repo.key if signed and ref != PEOPLE else None)
    wrong = repo.wrong
    assert any(said in line for line in wrong), wrong
    if not signed or ref == PEOPLE:
        assert any(line.startswith(f"{ref}: commit") and line.endswith("it is not signed") for line in wrong), wrong


def test_lesson_1_23_another_agent_has_written(repo):
    story = repo.passed(1)
    text = repo.note(RECORD, story.execution.commit)
    repo.rewrite(RECORD, story.execution.commit, text + b"\n", PrivateKey.generate())
    assert any("it was signed by SHA256:" in line for line in repo.wrong)


def test_a_result_that_was_removed(repo):
    story = repo.passed(1)
    repo.passed(2)
    repo.rewrite(RECORD, story.execution.commit, b"", repo.key)
    assert "chain: link 1 is missing, before release #2: a result was removed, or replaced by an older form" in repo.wrong


def test_an_older_form_in_the_place_of_the_last(repo):
    """It is signed by the agent, too."""
    story = repo.begun(1)
    repo.publish(story)
    older = repo.note(RECORD, story.execution.commit)
    repo.answer(story, verb="reject").fail("sign-off", "qa", reason=Reason.REJECTED).leave("sign-off", Status.FAILED)
    repo.publish(story.finish(Status.FAILED))
    assert repo.wrong == []
    repo.passed(2)
    repo.rewrite(RECORD, story.execution.commit, older, repo.key)
    assert any(line.startswith("chain: link 1 is missing") for line in repo.wrong)


def test_a_result_that_was_moved_to_another_commit(repo):
    story, other = repo.passed(1), repo.passed(2)
    repo.rewrite(RECORD, other.execution.commit, repo.line(story) + b"\n" + repo.line(other) + b"\n", repo.key)
    assert any("but speaks of" in line for line in repo.wrong)
    assert any("link 1 is there twice" in line for line in repo.wrong)


def test_a_list_of_signers_that_was_changed(repo):
    story = repo.passed(1)
    key = json.loads(repo.line(story))["signers"][: len(story.execution.commit)]
    text = repo.notes.read(SIGNERS, key)
    repo.rewrite(SIGNERS, key, text.replace(b"qa-lead", b"qa-lend"), repo.key)
    assert any("the list of signers that it names was changed" in line for line in repo.wrong)


def test_the_signers_that_were_in_force_count(repo):
    """Later ones change nothing: neither a key that is taken away nor a role."""
    repo.passed(1)
    repo.config = repo.config.replace(repo.keys.public("alice"), repo.keys.public("mallory"))
    repo.restart()
    repo.passed(2, "carol")
    assert repo.wrong == []
    lists = repo.notes.commits(SIGNERS)
    assert len(lists) == 2


def test_signers_that_changed_while_it_waited(repo):
    story = repo.begun(1)
    repo.publish(story)
    repo.config = repo.config.replace("roles = []", 'roles = ["qa-lead"]')  # nina
    repo.answer(story, "nina").end("sign-off", "qa").leave("sign-off").finish()
    repo.publish(story)
    told = json.loads(repo.line(story))
    assert told["stages"][1]["actions"][0]["approval"]["answers"][0]["signers"] != told["signers"]
    assert repo.wrong == []


# What a server that was taken over could write, key and all, but for people's keys.


def forged(repo, change):
    story = repo.begun(1)
    repo.publish(story)
    change(story)
    story.end("sign-off", "qa").leave("sign-off").finish()
    repo.publish(story)
    return [line for line in repo.wrong if line.startswith("release #1 sign-off/qa")]


def test_an_approval_without_a_tag(repo):
    wrong = forged(repo, lambda story: repo.answer(story, tag=""))
    assert wrong[0].endswith("no signed tag says so")
    assert wrong[1].endswith("it passed, but nobody agreed")


def test_an_approval_with_a_tag_that_is_not_there(repo):
    assert "is missing or damaged" in forged(repo, lambda story: repo.answer(story, tag="ab" * 20))[0]


def test_nobody_has_approved(repo):
    assert forged(repo, lambda story: story)[0].endswith("it passed, but nobody agreed")


def test_somebody_without_the_role(repo):
    wrong = forged(repo, lambda story: repo.answer(story, "nina"))
    assert wrong == ["release #1 sign-off/qa: it passed, but needs 1 more of qa-lead"]


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("mallory", "belongs to nobody here"),
        ("dave", "dave's key has expired"),
        ("eve", "eve's key is not yet valid"),
        ("olga", "olga's key was revoked"),
        ("trent", "counts for nobody here"),
        ("walter", "belongs to nobody here"),
        ("ivan", "the key was revoked"),
        ("heidi", "the key has expired"),
    ],
)
def test_somebody_whose_key_does_not_count(repo, by, said):
    wrong = forged(repo, lambda story: repo.answer(story, by))
    assert said in wrong[0]
    assert wrong[1].endswith("it passed, but nobody agreed")


def test_a_tag_of_somebody_else(repo):
    assert "was signed by carol" in forged(repo, lambda story: repo.answer(story, "carol", person="alice"))[0]


def test_with_another_key_than_the_record_says(repo):
    assert "was signed with key" in forged(repo, lambda story: repo.answer(story, fingerprint="SHA256:x"))[0]


def test_a_rejection_told_as_an_approval(repo):
    wrong = forged(repo, lambda story: repo.answer(story, verb="reject", approved=True))
    assert "the tag says reject" in wrong[0]


def test_another_reason_than_the_tag_gives(repo):
    assert "another reason: fine" in forged(repo, lambda story: repo.answer(story, comment="wonderful"))[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("approve/release/7/sign-off/alice", "the tag is about release #7"),
        ("approve/release/1/build/alice", "the tag is about release #1 build"),
        ("approve/other/1/sign-off/alice", "the tag is about other #1"),
        ("v1", "there is no verb v1"),
    ],
)
def test_the_tag_of_another_question(repo, name, said):
    def change(story):
        tag = repo.sign(name, story.execution.commit)
        repo.push(f"refs/tags/{name}")
        repo.answer(story, tag=tag)

    assert said in forged(repo, change)[0]


def test_the_tag_of_another_commit(repo):
    def change(story):
        parent = repo.commit({"file": "other"})
        tag = repo.sign("approve/release/1/sign-off/z", parent)
        repo.push("refs/tags/approve/release/1/sign-off/z")
        repo.answer(story, tag=tag)

    assert "release #1 runs" in forged(repo, change)[0]


@pytest.mark.parametrize(
    ("message", "said"), [("fine\n\nExecution: nonsense", "it is for execution nonsense"), ("fine\n\nAction: ok", "action ok")]
)
def test_what_the_trailers_say(repo, message, said):
    assert said in forged(repo, lambda story: repo.answer(story, message=message, comment="fine"))[0]


def test_a_rejection(repo):
    story = repo.begun(1)
    repo.answer(story, verb="reject").fail("sign-off", "qa", reason=Reason.REJECTED).leave("sign-off", Status.FAILED)
    repo.publish(story.finish(Status.FAILED))
    assert repo.wrong == []


def test_a_rejection_that_nobody_signed(repo):
    story = repo.begun(1)
    story.fail("sign-off", "qa", reason=Reason.REJECTED).leave("sign-off", Status.FAILED)
    repo.publish(story.finish(Status.FAILED))
    assert repo.wrong == ["release #1 sign-off/qa: it failed as rejected, but nobody rejected it"]


class Editor:
    """Rewrites what a clone has of the record, object by object up to the ref, as one could who has no key."""

    def __init__(self, repo: Sealed) -> None:
        self.repo = repo
        self.story = repo.passed(1)
        repo.passed(2, "grace")
        self.places = [place for ref in (RECORD, PEOPLE, LOG, SIGNERS, PROVENANCE) for place in self._of(ref)]
        self.places += [
            ("tag", ref, "") for ref in repo.git("for-each-ref", "--format=%(refname)", "refs/tags", at=repo.bare).split()
        ]

    def _of(self, ref: str) -> list[tuple[str, str, str]]:
        listed = self.repo.git("ls-tree", "-r", ref, at=self.repo.bare).splitlines()
        return [("commit", ref, ""), *(("blob", ref, line.split("\t")[1]) for line in listed)]

    def flip(self, place: tuple[str, str, str], at: int, bit: int) -> str:
        """Change one bit of a note, of the last commit of a ref, or of a tag; returns what the ref pointed at."""
        kind, ref, path = place
        former = self.repo.git("rev-parse", ref, at=self.repo.bare)
        raw = bytearray(self.repo.run("cat-file", kind, f"{ref}:{path}" if path else former, at=self.repo.bare).stdout)
        raw[at % len(raw)] ^= 1 << bit
        oid = self.put(kind, bytes(raw))
        self.point(ref, self._committed(ref, path, oid) if path else oid)
        return former

    def put(self, kind: str, raw: bytes) -> str:
        """As git would never write it, if need be."""
        return self.repo.git("hash-object", "-t", kind, "-w", "--literally", "--stdin", stdin=raw, at=self.repo.bare)

    def point(self, ref: str, oid: str) -> None:
        path = self.repo.bare / ref
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(oid + "\n")

    def _committed(self, ref: str, path: str, blob: str) -> str:
        """The last commit once more, with its signature, around another blob."""
        index = {"GIT_INDEX_FILE": str(self.repo.root / "index")}
        self.repo.git("read-tree", ref, at=self.repo.bare, env=index)
        self.repo.git("update-index", "--cacheinfo", f"100644,{blob},{path}", at=self.repo.bare, env=index)
        tree = self.repo.git("write-tree", at=self.repo.bare, env=index)
        raw = self.repo.run("cat-file", "commit", ref, at=self.repo.bare).stdout
        return self.put("commit", b"tree " + tree.encode() + raw[raw.index(b"\n") :])


@pytest.fixture(scope="module")
def edited(tmp_path_factory, keys):
    return Editor(Sealed(tmp_path_factory.mktemp("edited"), keys))


@settings(max_examples=60, phases=[Phase.generate])
@given(data=st.data())
def test_no_bit_of_any_note_commit_or_tag_changes_unseen_and_its_place_is_told(edited, data):
    place = data.draw(st.sampled_from(edited.places))
    at, bit = data.draw(st.integers(0, 100_000)), data.draw(st.integers(0, 7))
    former = edited.flip(place, at, bit)
    try:
        wrong = edited.repo.wrong
    finally:
        edited.point(place[1], former)
    kind, ref, path = place
    assert wrong, f"bit {bit} of byte {at} of the {kind} {ref} {path}"
    told = "approve/" if kind == "tag" else ref
    assert any(told in line for line in wrong), wrong


def test_and_without_a_change_all_is_well(edited):
    assert edited.repo.wrong == []
