"""Control tags with real keys and real pushes: what is refused, what is asked of the worker, and that it is asked once."""

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.model.control import Answer, Disable, Enable, Override, Retry, RollBack, Start, Stop
from agent.model.plan import RetryMode
from agent.state.requests import Requests
from agent.worker.intake import PATIENCE
from tests.support.repo import Refused
from tests.support.steering import STARTABLE, Steering

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


def armored(signature: bytes) -> bytes:
    return signature[signature.index(b"-----BEGIN") :]


def make(repo: Steering, how: str, tag: str, commit: str, by: str, message: str, date: str) -> None:
    """A tag in the clone, with something done to it."""
    signed = lambda payload: repo.forge(tag, payload + repo.keys.sign(by, payload))  # noqa: E731
    payload = repo.payload(tag, commit)
    match how:
        case "":
            repo.sign(tag, commit, by, message, date=date)
        case "lightweight":
            repo.point(tag, commit)
        case "unsigned":
            repo.forge(tag, payload)
        case "nested":
            signed(repo.payload(tag, repo.sign("inner", commit)).replace(b"type commit", b"type tag"))
        case "tree":
            tree = repo.git("rev-parse", f"{commit}^{{tree}}")
            signed(repo.payload(tag, tree).replace(b"type commit", b"type tree"))
        case "renamed":
            repo.point(tag, repo.sign("approve/release/2/sign-off/other", commit, by))
        case "header of a branch":
            signed(repo.payload("main", commit))
        case "two objects":
            signed(payload.replace(b"type", f"object {repo.commits[0]}\ntype".encode(), 1))
        case "no tagger":
            signed(b"".join(line for line in payload.splitlines(True) if not line.startswith(b"tagger")))
        case "a header more":
            signed(payload.replace(b"\n\n", b"\nencoding x\n\n", 1))
        case "huge":
            signed(repo.payload(tag, commit, "x" * 100_000 + "\n"))
        case "flipped":
            oid = repo.sign(tag, commit, by)
            repo.forge(tag, repo.raw(oid).replace(b"\n\nfine", b"\n\nfinf", 1))
        case "retargeted":
            raw = repo.raw(repo.sign(tag, repo.commits[0], by))
            repo.forge(tag, raw.replace(repo.commits[0].encode(), commit.encode()))
        case "borrowed":
            repo.forge(tag, payload + armored(repo.raw(repo.sign("other", commit, by))))
        case "for a file":
            repo.forge(tag, payload + repo.keys.sign(by, payload, "file"))
        case "cut":
            repo.forge(tag, repo.raw(repo.sign(tag, commit, by))[:-40])
        case "postscript":
            repo.forge(tag, repo.raw(repo.sign(tag, commit, by)) + b"and reject it\n")
        case "x509":
            repo.forge(tag, payload + b"-----BEGIN SIGNED MESSAGE-----\nAAAA\n-----END SIGNED MESSAGE-----\n")
        case _:
            raise AssertionError(how)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(unchanged, name):
    case = {"tag": APPROVE, "by": "alice", "at": 2, "message": "fine", "date": "", "how": "", "hint": "", **REFUSED[name]}
    date = str(case["date"])
    if date[:1] in {"+", "-"}:
        date = (datetime.now(UTC) + timedelta(seconds=int(date))).isoformat()
    unchanged.forget()
    make(unchanged, case["how"], case["tag"], unchanged.commits[case["at"]], case["by"], case["message"], date)
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
