"""`git pipeline setup` in a clone."""

from agent.model.ids import NOTES
from tests.cli.test_status import done
from tests.support.published import git

PEOPLE, RECORD, LOG = NOTES


def test_it_sets_says_so_and_changes_nothing_again(repositories, call):
    commit = repositories.commit("one")
    repositories.record(done(1, commit))
    repositories.note(PEOPLE, commit, b"for people\n")
    repositories.note(LOG, commit, b"much\n")
    code, out, err = call("setup")
    assert (code, err) == (0, "")
    assert "git config --add remote.origin.fetch '+refs/notes/pipeline*:refs/notes/pipeline*'" in out
    assert "git config --add notes.displayRef 'refs/notes/pipeline'" in out
    config = (repositories.clone / ".git/config").read_text()
    assert call("setup")[1].splitlines()[0] == "everything is set already"
    assert (repositories.clone / ".git/config").read_text() == config
    git(repositories.clone, "fetch", "-q")
    assert git(repositories.clone, "for-each-ref", "--format=%(refname)", "refs/notes").split() == [PEOPLE, RECORD]
    assert "for people" in git(repositories.clone, "log", "-1")


def test_logs_too(repositories, call):
    repositories.note(LOG, repositories.commit("one"), b"much\n")
    call("setup")
    assert "unset-all remote.origin.fetch '^refs/notes/pipeline-log'" in call("setup", "--logs")[1]
    git(repositories.clone, "fetch", "-q")
    assert LOG in git(repositories.clone, "for-each-ref", "--format=%(refname)", "refs/notes")


def test_it_can_be_undone(repositories, call):
    before = git(repositories.clone, "config", "--local", "--list")
    call("setup")
    assert call("setup", "--undo")[0] == 0
    assert git(repositories.clone, "config", "--local", "--list") == before
    assert call("setup", "--undo")[1] == "nothing is set\n"


def test_a_remote_that_is_not_there(repositories, call):
    code, _, err = call("setup", "--remote", "nowhere")
    assert (code, "there is no remote nowhere" in err) == (2, True)
