"""Who had a hand in commits, as the commits themselves say."""

import pytest

from agent.errors import EnvironmentFault
from agent.git.authors import ask, hands
from agent.trust.authors import Identity
from tests.support.repo import Repo

ADA, BOB, EVE = (Identity(name, f"{name.lower()}@example.com") for name in ("Ada", "Bob", "Eve"))


@pytest.fixture
def repo(tmp_path):
    made = Repo(tmp_path)
    made.first = made.commit({"a": "1"}, author="Bob <bob@example.com>")
    made.second = made.commit({"a": "2"}, "x\n\nCo-authored-by: Eve <eve@example.com>\nCo-authored-by: Nobody")
    made.push()
    return made


def test_of_all_of_them(repo):
    found = hands(repo.server, repo.second)
    assert found.commits == {repo.first, repo.second}
    assert found.people == {ADA, BOB, EVE, Identity("Nobody", "")}


def test_since_another(repo):
    assert hands(repo.server, repo.second, repo.first).commits == {repo.second}
    assert BOB not in hands(repo.server, repo.second, repo.first).people


@pytest.mark.parametrize("since", ["first", "second"])
def test_the_commit_itself_counts_always(repo, since):
    found = hands(repo.server, repo.first, getattr(repo, since))
    assert found.commits == {repo.first}
    assert found.people == {ADA, BOB}  # Ada is who committed it


def test_since_one_that_is_not_there_means_all(repo):
    assert hands(repo.server, repo.second, "1" * 40) == hands(repo.server, repo.second)


def test_asked_ahead(repo):
    asked = ask(repo.server, repo.second, repo.first)
    assert hands(repo.server, repo.second, repo.first, asked) == hands(repo.server, repo.second, repo.first)


def test_a_commit_that_is_not_there_has_no_authors(repo):
    with pytest.raises(EnvironmentFault, match=f"git cannot tell who wrote {'1' * 40}"):
        hands(repo.server, "1" * 40, repo.first)


def test_neither_a_mailmap_nor_the_configuration_of_git_hides_anybody(repo):
    repo.git("config", "log.showSignature", "true", at=repo.bare)
    repo.git("config", "log.mailmap", "true", at=repo.bare)
    third = repo.commit({".mailmap": "Zoe <zoe@example.com> Bob <bob@example.com>\n"}, author="Bob <bob@example.com>")
    repo.push()
    found = hands(repo.server, third, repo.second)
    assert found.people == {ADA, BOB}
    assert found.commits == {third}
