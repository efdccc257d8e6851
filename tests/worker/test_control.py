"""Control tags with real keys and real pushes: what is refused, what is asked of the worker, and that it is asked once."""

import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.git.tags import split
from agent.model.control import Answer, Disable, Enable, Override, Retry, RollBack, Start, Stop
from agent.model.plan import RetryMode
from agent.state.passes import Pass, Passes
from agent.state.requests import Requests
from agent.worker.inquiry import AHEAD
from agent.worker.intake import PATIENCE
from tests.support.repo import Refused
from tests.support.steering import STARTABLE, Steering, asked, closed, failed, recently

REFUSED = tomllib.loads((Path(__file__).parents[1] / "cases/control/refused.toml").read_text())
APPROVE = "approve/release/2/sign-off/x"


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory, keys):
    """A repository for pushes that leave no trace."""
    made = Steering(tmp_path_factory.mktemp("refused"), keys).seeded()
    made.commits.insert(0, made.commit({".pipeline/deploy.yaml": STARTABLE}))
    made.push("HEAD:refs/heads/deploys")
    yield made
    made.close()


@pytest.fixture
def repo(tmp_path, keys):
    made = Steering(tmp_path, keys).seeded()
    yield made
    made.close()


def on(number: int) -> int:
    """The place of an execution's commit."""
    return number - 1


# --- what is refused ------------------------------------------------------------------------------------------------------


Forged = Callable[[Steering, str, str, str], bytes]  # repository, tag, commit, and whose key it is


def own(repo: Steering, by: str, payload: bytes) -> bytes:
    """A payload of one's own with a proper signature."""
    return payload + repo.keys.sign(by, payload)


def real(repo: Steering, tag: str, commit: str, by: str) -> bytes:
    return repo.raw(repo.sign(tag, commit, by))


def tree(repo: Steering, tag: str, commit: str, by: str) -> bytes:
    return own(repo, by, repo.payload(tag, repo.git("rev-parse", f"{commit}^{{tree}}")).replace(b"type commit", b"type tree"))


def nested(repo: Steering, tag: str, commit: str, by: str) -> bytes:
    return own(repo, by, repo.payload(tag, repo.sign("inner", commit)).replace(b"type commit", b"type tag"))


def retargeted(repo: Steering, tag: str, commit: str, by: str) -> bytes:
    return real(repo, tag, repo.commits[1], by).replace(repo.commits[1].encode(), commit.encode())


def without_tagger(repo: Steering, tag: str, commit: str, by: str) -> bytes:
    lines = repo.payload(tag, commit).splitlines(True)
    return own(repo, by, b"".join(line for line in lines if not line.startswith(b"tagger")))


FORGED: dict[str, Forged] = {
    "unsigned": lambda repo, tag, commit, by: repo.payload(tag, commit),
    "nested": nested,
    "tree": tree,
    "renamed": lambda repo, tag, commit, by: real(repo, "approve/release/2/sign-off/other", commit, by),
    "header of a branch": lambda repo, tag, commit, by: own(repo, by, repo.payload("main", commit)),
    "no tagger": without_tagger,
    "a header more": lambda repo, tag, commit, by: own(
        repo, by, repo.payload(tag, commit).replace(b"\n\n", b"\nencoding x\n\n", 1)
    ),
    "huge": lambda repo, tag, commit, by: own(repo, by, repo.payload(tag, commit, "x" * 100_000 + "\n")),
    "flipped": lambda repo, tag, commit, by: real(repo, tag, commit, by).replace(b"\n\nfine", b"\n\nfinf", 1),
    "retargeted": retargeted,
    "borrowed": lambda repo, tag, commit, by: repo.payload(tag, commit) + split(real(repo, "other", commit, by))[1],
    "for a file": lambda repo, tag, commit, by: repo.payload(tag, commit) + repo.keys.sign(by, repo.payload(tag, commit), "file"),
    "cut": lambda repo, tag, commit, by: real(repo, tag, commit, by)[:-40],
    "postscript": lambda repo, tag, commit, by: real(repo, tag, commit, by) + b"and reject it\n",
    "x509": lambda repo, tag, commit, by: (
        repo.payload(tag, commit) + b"-----BEGIN SIGNED MESSAGE-----\nAAAA\n-----END SIGNED MESSAGE-----\n"
    ),
}


def make(repo: Steering, case: dict[str, Any]) -> None:
    """A tag in the clone, with something done to it."""
    tag, commit, by, how = case["tag"], repo.commits[case["at"]], case["by"], case["how"]
    if how == "lightweight":
        repo.point(tag, commit)
    elif how:
        repo.forge(tag, FORGED[how](repo, tag, commit, by))
    else:
        repo.sign(tag, commit, by, case["message"], date=moment(case["date"]))


def moment(date: str) -> str:
    """A date, or one so many seconds from now."""
    shifts = date[:1] in {"+", "-"}
    return (datetime.now(UTC) + timedelta(seconds=int(date))).isoformat() if shifts else date


@pytest.mark.parametrize("name", REFUSED)
def test_refused(unchanged, name):
    case = {"tag": APPROVE, "by": "alice", "at": 2, "message": "fine", "date": "", "how": "", "hint": "", **REFUSED[name]}
    unchanged.forget()
    make(unchanged, case)
    with pytest.raises(Refused) as caught:
        unchanged.tell(case["tag"])
    said = " ".join(str(caught.value).replace("remote: ", "").split())
    assert " ".join(case["says"].split()) in said
    assert case["hint"] in said
    assert "this push is refused" in said
    assert "Traceback" not in said
    assert "bug" not in said
    assert unchanged.git("for-each-ref", "refs/tags", at=unchanged.bare) == ""
    assert unchanged.requests == ()


def test_there_are_enough_refused_cases():
    assert len(REFUSED) >= 60


def test_several_at_once_are_all_told(unchanged):
    unchanged.forget()
    for label, by in (("a", "mallory"), ("b", "nina"), ("c", "alice")):
        unchanged.sign(f"approve/release/2/sign-off/{label}", unchanged.commits[2], by)
    with pytest.raises(Refused) as caught:
        unchanged.tell("approve/release/2/sign-off/a", "approve/release/2/sign-off/b", "approve/release/2/sign-off/c")
    assert "sign-off/a: its key" in str(caught.value)
    assert "sign-off/b: nina has no say" in str(caught.value)
    assert "sign-off/c:" not in str(caught.value).split("! [remote")[0]
    assert unchanged.requests == ()


def test_nobody_is_asked_before_it_has_begun(repo):
    """But what has not begun can be stopped."""
    repo.commits.append(repo.commit({".pipeline/release.yaml": STARTABLE.partition("\n")[2]}))
    repo.detached("HEAD:refs/heads/fresh", options=("pipeline.var.need=it",))
    assert repo.labels[-1] == "release #7"
    repo.sign("retry/release/7/build/x", repo.head)
    with pytest.raises(Refused, match="release #7 has not begun"):
        repo.tell("retry/release/7/build/x")
    repo.sign("stop/release/7/x", repo.head)
    repo.tell("stop/release/7/x")
    assert [wish.demand for wish in repo.wishes] == [Stop(pipeline="release", number=7)]


def test_too_many_at_once(unchanged):
    unchanged.forget()
    first = unchanged.sign("stop/release/2/n0", unchanged.commits[2])
    for number in range(51):
        unchanged.point(f"stop/release/2/n{number}", first)
    with pytest.raises(Refused, match="51 control tags in one push; at most 50"):
        unchanged.tell("*")


# --- what is accepted -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["carol", "alice", "frank", "grace"])
def test_an_approval_is_asked_of_the_worker(repo, by):
    oid = repo.sign(APPROVE, repo.commits[on(2)], by, "looks fine\n\nsecond paragraph\n\nAction: qa")
    said = repo.tell(APPROVE)
    assert f"approved: release #2 sign-off; signed by {by}" in said
    (wish,) = repo.wishes
    assert wish.demand == Answer(pipeline="release", number=2, stage="sign-off", approved=True, action="qa")
    assert (wish.by, wish.reason, wish.tag, wish.is_author) == (by, "looks fine\n\nsecond paragraph", oid, False)
    assert wish.fingerprint == repo.keys.openpgp("grace") if by == "grace" else wish.fingerprint.startswith("SHA256:")
    assert repo.requests[0].kind == "approve"
    assert repo.git("rev-parse", f"refs/tags/{APPROVE}", at=repo.bare) == oid
    assert "queued" not in said


ACCEPTED = [
    ("reject/release/2/sign-off/a", 2, "no", Answer(pipeline="release", number=2, stage="sign-off", approved=False)),
    ("stop/release/2/a", 2, "x", Stop(pipeline="release", number=2)),
    ("stop/release/5/a", 5, "x\n\nabandon: TRUE", Stop(pipeline="release", number=5, abandon=True)),
    ("rollback/release/1/build/a", 1, "x", RollBack(pipeline="release", number=1, stage="build")),
    ("disable/release/production/a", 2, "freeze", Disable(pipeline="release", stage="production")),
]


@pytest.mark.parametrize(("tag", "at", "message", "demand"), ACCEPTED, ids=[case[0] for case in ACCEPTED])
def test_every_verb(repo, tag, at, message, demand):
    repo.sign(tag, repo.commits[on(at)], "alice", message)
    repo.tell(tag)
    assert [wish.demand for wish in repo.wishes] == [demand]
    assert repo.labels == [f"release #{number}" for number in range(1, 7)]


def test_retry_and_override_of_the_latest(tmp_path, keys):
    repo = Steering(tmp_path, keys).seeded(failed, closed)
    repo.sign("retry/release/1/build/a", repo.commits[0], message="Mode: all")
    with pytest.raises(Refused, match="release #2 has come to stage build since"):
        repo.tell("retry/release/1/build/a")
    repo.sign("override/release/2/production/a", repo.commits[1])
    repo.tell("override/release/2/production/a")
    assert [wish.demand for wish in repo.wishes] == [Override(pipeline="release", number=2, stage="production")]
    repo.close()
    again = Steering(tmp_path / "again", keys).seeded(failed)
    again.sign("retry/release/1/build/a", again.commits[0], message="Mode: all")
    again.tell("retry/release/1/build/a")
    assert [wish.demand for wish in again.wishes] == [
        Retry(pipeline="release", number=1, stage="build", mode=RetryMode.ALL_ACTIONS)
    ]
    again.close()


def test_open_what_this_push_or_one_before_has_closed(repo):
    repo.sign("disable/release/production/a", repo.commits[0])
    repo.tell("disable/release/production/a")
    repo.sign("enable/release/production/a", repo.commits[0])
    repo.tell("enable/release/production/a")
    assert [type(wish.demand) for wish in repo.wishes] == [Disable, Enable]
    repo.sign("enable/release/production/b", repo.commits[0])
    with pytest.raises(Refused, match="is open"):
        repo.tell("enable/release/production/b")


@pytest.mark.parametrize("together", [True, False])
def test_a_start_runs_as_the_branch_that_stands_there(repo, together):
    commit = repo.commit({".pipeline/deploy.yaml": STARTABLE})
    repo.sign("start/deploy/a", commit, message="again\n\nVar: need=a=b; rm -rf / && $(id)\nVar: where=mars")
    if together:
        repo.detached("HEAD:refs/heads/main", "refs/tags/start/deploy/a")
    else:
        repo.push("HEAD:refs/heads/main")
        repo.tell("start/deploy/a")
    variables = {"need": "a=b; rm -rf / && $(id)", "where": "mars"}
    start = Start(pipeline="deploy", commit=commit, ref="refs/heads/main", variables=variables)
    assert [wish.demand for wish in repo.wishes] == [start]


def test_a_start_of_an_older_commit_and_of_one_without_a_branch(repo):
    old = repo.commit({".pipeline/deploy.yaml": STARTABLE})
    repo.commit({"file": "newer"})
    repo.push("HEAD:refs/heads/main")
    repo.sign("start/deploy/a", old, message="Var: need=it")
    lonely = repo.commit({"file": "nowhere"})
    repo.sign("start/deploy/b", lonely, message="Var: need=it")
    repo.tell("start/deploy/a", "start/deploy/b")
    assert [wish.demand.ref for wish in repo.wishes] == ["refs/heads/main", "refs/tags/start/deploy/b"]


def test_two_people_and_one_person_twice(repo):
    """The second answer meets the state as the first leaves it."""
    for label, by in (("alice", "alice"), ("grace", "grace")):
        repo.sign(f"approve/release/2/sign-off/{label}", repo.commits[on(2)], by)
    with pytest.raises(Refused, match="was decided already by alice"):
        repo.tell("approve/release/2/sign-off/alice", "approve/release/2/sign-off/grace")
    repo.sign("approve/release/5/production/one", repo.commits[on(5)], "alice", "Action: ok")
    repo.tell("approve/release/5/production/one")
    repo.sign("approve/release/5/production/two", repo.commits[on(5)], "alice", "Action: ok")
    with pytest.raises(Refused, match="alice has approved already"):
        repo.tell("approve/release/5/production/two")
    repo.sign("approve/release/5/production/carol", repo.commits[on(5)], "carol", "Action: ok")
    repo.tell("approve/release/5/production/carol")
    assert [wish.by for wish in repo.wishes] == ["alice", "carol"]


def test_more_at_once_than_are_asked_about_ahead(repo):
    given = {f"disable/release/build/{number}": ("alice", "frank", "grace")[number % 3] for number in range(AHEAD + 3)}
    for tag, by in given.items():
        repo.sign(tag, repo.commits[on(2)], by)
    repo.tell(*given)
    assert sorted(wish.by for wish in repo.wishes) == sorted(given.values())


def test_what_was_asked_ahead_is_ended_when_the_push_is_refused(repo, tmp_path):
    """A tag under a name that is not its own is refused before anybody waits for ssh-keygen, which takes its time here."""
    stuck, started = tmp_path / "stuck", tmp_path / "started"
    stuck.mkdir()
    (stuck / "ssh-keygen").write_text(f"#!/bin/sh\necho $$ >{started}\nexec sleep 1000\n")
    (stuck / "ssh-keygen").chmod(0o755)
    repo.point(f"{APPROVE}y", repo.sign(APPROVE, repo.commits[on(2)]))
    with pytest.raises(Refused, match="the signature is for a tag called"):
        repo.tell(f"{APPROVE}y", env={"PATH": f"{stuck}:{repo.environment['PATH']}"})
    process = (started.read_text().strip() if started.exists() else "") or "killed before it could say"
    assert not Path("/proc", process).exists()


def test_a_control_tag_starts_nothing_and_is_no_hindrance(repo):
    """Not even where a pipeline starts on every tag, and its files are broken by now."""
    every = "triggers: [{push: {tags: ['**']}}]\n" + STARTABLE.partition("\n")[2]
    commit = repo.commit({".pipeline/deploy.yaml": every})
    repo.push("HEAD:refs/heads/main")
    repo.sign("disable/release/build/a", commit)
    said = repo.tell("disable/release/build/a")
    assert "asked to close the way into: release build; signed by alice" in said
    assert "queued" not in said
    assert "not started" not in said
    assert len(repo.executions) == 6


# --- exactly once ---------------------------------------------------------------------------------------------------------


def test_asked_once_when_post_receive_is_killed(repo):
    hook = repo.bare / "hooks" / "post-receive"
    hook.write_text(hook.read_text().replace("#!/bin/sh\n", "#!/bin/sh\nkill -9 $$\n"))
    repo.sign(APPROVE, repo.commits[on(2)])
    repo.tell(APPROVE)
    assert repo.requests == ()
    for _ in range(2):
        with repo.intake(datetime.now(UTC) + PATIENCE + timedelta(seconds=1)) as intake:
            intake.settle()
        assert len(repo.wishes) == 1
    with repo.database() as database:
        Requests(database).settle(repo.requests[0].id, "done")
    with repo.intake(datetime.now(UTC) + PATIENCE * 2) as intake:
        intake.settle()
        intake.missed()
    assert repo.requests == ()


def test_a_push_that_git_refused_asks_for_nothing_and_can_be_repeated(repo):
    repo.hook("update", "#!/bin/sh\nexit 1\n")
    repo.sign(APPROVE, repo.commits[on(2)])
    with pytest.raises(Refused):
        repo.tell(APPROVE)
    with repo.intake(datetime.now(UTC) + PATIENCE + timedelta(seconds=1)) as intake:
        intake.settle()
    assert repo.requests == ()
    (repo.bare / "hooks/update").unlink()
    repo.tell(APPROVE)
    assert len(repo.wishes) == 1


def test_a_tag_that_nobody_judged_asks_for_nothing(repo):
    repo.sign(APPROVE, repo.commits[on(2)])
    hook = repo.bare / "hooks" / "pre-receive"
    text = hook.read_text()
    hook.write_text("#!/bin/sh\nexit 0\n")
    said = repo.tell(APPROVE)
    hook.write_text(text)
    assert f"{APPROVE} asks for nothing, as nobody judged it" in said
    assert repo.requests == ()


@pytest.mark.parametrize("fault", ["state.db", "config.toml", "revoked"])
def test_what_cannot_be_judged_does_not_go_through(repo, tmp_path, fault):
    """Any other push would."""
    repo.sign(APPROVE, repo.commits[on(2)])
    if fault == "revoked":
        config = repo.directory / "config.toml"
        config.write_text(config.read_text().replace("/revoked", "/nothing"))
    else:
        (repo.directory / fault).write_bytes(b"rubbish" * 1000)
    with pytest.raises(Refused) as caught:
        repo.tell(APPROVE)
    assert "cannot judge control tags" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    repo.commit({"a": "1"})
    repo.push("HEAD:refs/heads/other")


def test_a_changed_configuration_counts_at_once(repo):
    repo.sign(APPROVE, repo.commits[on(2)])
    config = repo.directory / "config.toml"
    text = config.read_text()
    config.write_text(text.replace(repo.keys.public("alice"), repo.keys.public("mallory")))
    with pytest.raises(Refused, match="belongs to nobody here"):
        repo.tell(APPROVE)
    config.write_text(text)
    repo.tell(APPROVE)


# --- who has a hand in it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["author", "author elsewhere", "committer", "co-author", "before", "pusher", "pusher of another"])
def test_nobody_approves_their_own(tmp_path, keys, how):
    """Author, committer, co-author and pusher of every commit since the stage was last passed."""
    repo = Steering(tmp_path, keys)
    zoe, alice = "Zoe <zoe@example.com>", "Whoever <ALICE@example.com>"
    message = "x\n\nCo-authored-by: A <alice@example.com>" if how == "co-author" else "x"
    if how == "committer":
        repo.git("config", "user.email", "alice@example.com")
    author = {"author": alice, "author elsewhere": "alice <a@home>", "before": alice}.get(how, zoe)
    first = repo.commit({"a": "1"}, message, author=author)
    repo.git("config", "user.email", "zoe@example.com")
    if how == "pusher of another":
        repo.commit({".pipeline/deploy.yaml": STARTABLE}, author=zoe)
        repo.detached("HEAD:refs/heads/main", env={"REMOTE_USER": "alice"})
    second = repo.commit({"b": "1"}, author=zoe) if how not in {"author", "author elsewhere"} else first
    actor = "alice@192.0.2.1" if how == "pusher" else "zoe"
    repo.tell_stories(asked(recently(1, commit=second, actor=actor)))
    repo.push("HEAD:refs/heads/main")
    if how == "before":
        with repo.database() as database:
            Passes(database).add("release", "sign-off", Pass("e", first, "2026", False))
    repo.sign("approve/release/1/sign-off/a", second)
    if how == "before":
        repo.tell("approve/release/1/sign-off/a")
        assert not repo.wishes[0].is_author
    else:
        with pytest.raises(Refused, match="alice is an author of this commit, and sign-off/qa needs somebody else"):
            repo.tell("approve/release/1/sign-off/a")
        repo.sign("reject/release/1/sign-off/a", second)
        repo.tell("reject/release/1/sign-off/a")
    repo.close()


# --- lessons of the field (security.md 1) ---------------------------------------------------------------------------------


def test_lesson_1_2_a_hostile_name_never_becomes_code(repo):
    """git takes $(…), ; and backticks in a ref."""
    evil = "$(touch${IFS}gotcha);`touch${IFS}gotcha`|touch${IFS}gotcha&"
    repo.sign(f"start/deploy/{evil}", repo.commits[0])
    with pytest.raises(Refused, match="is no label"):
        repo.tell(f"start/deploy/{evil}")
    repo.git("branch", evil)
    repo.detached(f"refs/heads/{evil}")
    commit = repo.commit({".pipeline/deploy.yaml": STARTABLE})
    repo.git("push", "-q", "origin", f"HEAD:refs/heads/{evil}")
    repo.sign("start/deploy/a", commit, message="Var: need=$(touch gotcha)`touch gotcha`")
    repo.tell("start/deploy/a")
    assert repo.wishes[0].demand.variables == {"need": "$(touch gotcha)`touch gotcha`"}
    assert repo.wishes[0].demand.ref == f"refs/heads/{evil}"
    assert not list(repo.root.rglob("gotcha"))


def test_lesson_1_7_a_good_signature_of_an_unknown_key_is_none(repo):
    """git calls it good; so does git verify-tag, whose answer must be read to its end."""
    repo.sign(APPROVE, repo.commits[on(2)], "mallory")
    with pytest.raises(Refused, match="belongs to nobody here"):
        repo.tell(APPROVE)


def test_lesson_1_8_a_date_in_the_youth_of_an_expired_key(repo):
    allowed = repo.root / "allowed"
    allowed.write_text(f"dave {repo.keys.known('dave')}\n")
    repo.sign(APPROVE, repo.commits[on(2)], "dave", date="2019-06-01T12:00:00Z")
    done = repo.run("-c", f"gpg.ssh.allowedSignersFile={allowed}", "verify-tag", APPROVE)
    assert b"Good" in done.stderr  # git is deceived
    with pytest.raises(Refused, match="dave's key has expired"):
        repo.tell(APPROVE)
    repo.sign(APPROVE, repo.commits[on(2)], "alice", date="2019-06-01T12:00:00Z")
    with pytest.raises(Refused, match="at most 5 minutes are accepted"):
        repo.tell(APPROVE)


def test_lesson_1_9_delimiters_in_push_options_and_messages_stay_text(repo):
    commit = repo.commit({".pipeline/deploy.yaml": STARTABLE})
    repo.push("HEAD:refs/heads/main")
    value = 'x\\n\\0;by=bob","by":"bob"'
    repo.sign("start/deploy/a", commit, message=f"because;by=bob\n\nVar: need={value}")
    repo.tell("start/deploy/a", options=("by=bob;approved=true", "need=other;by=bob\x01"))
    (wish,) = repo.wishes
    assert (wish.by, wish.reason, wish.demand.variables) == ("alice", "because;by=bob", {"need": value})
    repo.forge("start/deploy/b", *signed(repo, "start/deploy/b", commit, "Var: need=a\x00b\n"))
    with pytest.raises(Refused, match="sets no variable"):
        repo.tell("start/deploy/b")


def signed(repo, tag, commit, message):
    payload = repo.payload(tag, commit, message)
    return (payload + repo.keys.sign("alice", payload),)


def test_lesson_1_10_a_tag_counts_once_under_one_name(repo):
    """One signed object was accepted under another name, and again after it had been deleted."""
    oid = repo.sign(APPROVE, repo.commits[on(2)])
    repo.tell(APPROVE)
    other = "approve/release/5/production/x"
    repo.point(other, oid)
    with pytest.raises(Refused):
        repo.tell(other)
    repo.git("update-ref", "-d", f"refs/tags/{APPROVE}", at=repo.bare)  # what only the operator can do
    with pytest.raises(Refused, match="it was accepted once, and every tag counts once"):
        repo.tell(APPROVE)
    assert len(repo.wishes) == 1


def test_lesson_1_10_an_accepted_tag_is_never_moved_or_deleted(repo):
    repo.sign(APPROVE, repo.commits[on(2)])
    repo.tell(APPROVE)
    with pytest.raises(Refused, match="a control tag is never deleted"):
        repo.push(f":refs/tags/{APPROVE}")
    repo.sign(APPROVE, repo.commits[on(2)], "carol", "other words")
    with pytest.raises(Refused, match="a control tag is never moved"):
        repo.push(f"+refs/tags/{APPROVE}")


def test_lesson_1_10_the_same_number_in_another_repository(repo, tmp_path, keys):
    """A fork has the same commits and numbers; a tag that names the execution serves in one of them only."""
    fork = Steering(tmp_path / "fork", keys, config=keys.config + "[control]\nname_execution = true\n").seeded()
    assert fork.commits == repo.commits
    execution, other = repo.stories[on(2)].execution.id, fork.stories[on(2)].execution.id
    assert execution != other
    repo.sign(APPROVE, repo.commits[on(2)], message=f"fine\n\nExecution: {execution}")
    with pytest.raises(Refused, match=f"it is for execution {execution}, but release #2 is {other} here"):
        repo.git("push", str(fork.bare), f"refs/tags/{APPROVE}")
    repo.sign("approve/release/2/sign-off/bare", repo.commits[on(2)])
    with pytest.raises(Refused, match=f"add a line to its message: Execution: {other}"):
        repo.git("push", str(fork.bare), "refs/tags/approve/release/2/sign-off/bare")
    assert fork.requests == ()
    repo.tell(APPROVE)
    assert len(repo.wishes) == 1
    fork.close()


def test_lesson_1_20_who_has_lost_a_role_counts_no_more(repo):
    """The policy in force at each step decides: alice agreed as qa-lead, then she was none; now carol fills that seat only."""
    repo.sign("approve/release/5/production/a", repo.commits[on(5)], "alice", "Action: ok")
    repo.tell("approve/release/5/production/a")
    before = repo.answered()
    config = repo.directory / "config.toml"
    config.write_text(config.read_text().replace('roles = ["qa-lead", "operator"]', 'roles = ["operator"]', 1))
    repo.sign("approve/release/5/production/c", repo.commits[on(5)], "carol", "Action: ok")
    repo.tell("approve/release/5/production/c")
    after = repo.answered()
    assert [answer.complete for answer in (*before, *after)] == [False, False]
