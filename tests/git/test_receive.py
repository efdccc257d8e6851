"""What a hook is told: ref updates, push options, the pusher."""

import json

import pytest

from agent.errors import UsageError
from agent.git.receive import MAX_LENGTH, MAX_OPTIONS, pusher, read_push
from tests.support.repo import Repo

OLD, NEW = "1" * 40, "2" * 40
AT = "2026-01-02T03:04:05+00:00"


def options(*given):
    environ = {"GIT_PUSH_OPTION_COUNT": str(len(given))} | {
        f"GIT_PUSH_OPTION_{index}": value for index, value in enumerate(given)
    }
    return read_push(b"", environ, AT).options


def test_updates_are_read_in_order():
    push = read_push(
        f"{OLD} {NEW} refs/heads/main\n{'0' * 40} {NEW} refs/tags/v1\n{OLD} {'0' * 40} refs/heads/x\n".encode(), {}, AT
    )
    assert [update.ref for update in push.updates] == ["refs/heads/main", "refs/tags/v1", "refs/heads/x"]
    assert [update.is_creation for update in push.updates] == [False, True, False]
    assert push.updates[2].is_deletion
    assert push.received_at == AT


def test_a_ref_that_is_not_utf8_can_be_stored_and_printed():
    (update,) = read_push(f"{OLD} {NEW} refs/heads/".encode() + b"\xff\n", {}, AT).updates
    assert update.branch == "\\xff"
    assert json.dumps(update).encode()


def test_our_options_are_read_and_those_of_others_left_alone():
    read = options("ci.skip", "pipeline.skip", "pipeline.var.environment=production", "topic=a\x01b", "pipeline.var.empty=")
    assert read.skip
    assert not read.detach
    assert read.variables == (("environment", "production"), ("empty", ""))


def test_a_value_may_hold_equals_signs():
    assert options("pipeline.var.flags=-D a=b").variables == (("flags", "-D a=b"),)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("pipeline.skpi", "unknown push option pipeline.skpi"),
        ("pipeline.skip=true", "unknown push option"),
        ("pipeline.", "unknown push option"),
        ("pipeline.var.x", "gives no value"),
        ("pipeline.var.=1", "the name of a variable"),
        ("pipeline.var.a b=1", "the name of a variable"),
        ("pipeline.var.a=\x1b[31m", "control characters"),
        ("pipeline.var.a=\udcff", "not UTF-8"),
        ("pipeline.var.a=" + "x" * MAX_LENGTH, "at most 4096"),
        ("pipeline.\x1b[2J", r"unknown push option pipeline\.\?\[2J"),
    ],
)
def test_a_wrong_option_is_refused(option, message):
    with pytest.raises(UsageError, match=message):
        options(option)


def test_too_many_options_are_refused():
    with pytest.raises(UsageError, match="at most 100"):
        options(*["pipeline.skip"] * (MAX_OPTIONS + 1))


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"GL_USER": "ada", "USER": "git", "SSH_CONNECTION": "10.0.0.3 1 10.0.0.1 22"}, "ada"),
        ({"REMOTE_USER": "ada", "GATEWAY_INTERFACE": "CGI/1.1", "USER": "www-data"}, "ada"),
        ({"GATEWAY_INTERFACE": "CGI/1.1", "USER": "www-data"}, ""),
        ({"USER": "git", "SSH_CONNECTION": "10.0.0.3 1 10.0.0.1 22"}, "git@10.0.0.3"),
        ({"LOGNAME": "ada"}, "ada"),
        ({"USER": "a\x1bda\n"}, "ada"),
        ({}, ""),
    ],
)
def test_who_pushes(environ, name):
    assert pusher(environ) == name


def test_options_of_a_real_push(tmp_path):
    repo = Repo(tmp_path)
    repo.hook("pre-receive", "#!/bin/sh\nenv -0 >env; cat >stdin\n")
    commit = repo.commit({"a": "1"})
    repo.push(options=("pipeline.detach", "pipeline.var.a=b c"))
    environ = dict(pair.split("=", 1) for pair in (repo.bare / "env").read_text().rstrip("\0").split("\0"))
    push = read_push((repo.bare / "stdin").read_bytes(), environ, AT)
    assert push.options.detach
    assert push.options.variables == (("a", "b c"),)
    assert [(update.old, update.new, update.ref) for update in push.updates] == [("0" * 40, commit, "refs/heads/main")]
