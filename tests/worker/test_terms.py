"""Under which configuration executions run: read anew for each, kept with each, never lost to a file that is broken."""

import pytest

from agent.config import Config
from agent.errors import ConfigError
from agent.secrets.base import Secrets
from agent.state.database import open_database
from agent.state.policies import Policies
from agent.state.queue import Queue
from agent.worker.terms import Book


class Desk:
    """A book over one file, and executions that start."""

    def __init__(self, root):
        self.file = root / "config.toml"
        self.database = open_database(str(root / "state.db"))
        self.queue, self.policies = Queue(self.database), Policies(self.database)
        self.open()

    def open(self):
        """As a new worker does."""
        self.book = Book((self.file,), self.policies, lambda config: Secrets(config.secrets, {}))

    def write(self, concurrency):
        self.file.write_text(f"concurrency = {concurrency}\n")

    def start(self, number):
        fields = {"pipeline": "release", "commit": "ab" * 20, "ref": "refs/heads/main", "created_at": "2026-01-01"}
        name, _ = self.queue.enqueue({"id": f"E{number}", **fields})
        self.queue.set_plan(name, b"{}", self.book.now().digest)
        return name

    def concurrency(self, execution):
        return self.book.of(execution).config.concurrency


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    yield made
    made.database.close()


def test_each_execution_keeps_its_own_also_after_a_restart(desk):
    found = {}
    for number in (1, 2, 3):
        desk.write(number)
        found[desk.start(number)] = number
    for _ in range(2):
        assert {name: desk.concurrency(name) for name in found} == found
        desk.open()


def test_the_digest_is_of_what_is_kept(desk):
    desk.write(7)
    name = desk.start(1)
    before = desk.book.of(name).digest
    desk.open()
    assert desk.book.of(name).digest == before == desk.book.now().digest
    desk.write(8)
    assert desk.book.now().digest != before


def test_a_broken_file_starts_nothing_and_stops_nothing(desk):
    desk.write(7)
    name = desk.start(1)
    for text in ("concurrency =", "concurency = 3\n", "concurrency = 0\n"):
        desk.file.write_text(text)
        with pytest.raises(ConfigError, match=r"config\.toml"):
            desk.book.now()
        assert desk.concurrency(name) == 7
        assert desk.book.in_force().config.concurrency == 7
        desk.open()
    desk.file.unlink()
    assert desk.book.now().config == Config()  # no file is no mistake
    assert desk.concurrency(name) == 7


def test_a_file_that_cannot_be_read_is_told(desk):
    desk.file.mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        desk.book.now()
    assert desk.book.in_force().config == Config()  # nobody has ever read one: what is safe


def test_what_went_before_a_file_broke_is_in_force_not_what_was_first(desk):
    for number in (5, 6, 5, 7, 6):
        desk.write(number)
        desk.book.now()
    desk.file.write_text("?")
    desk.open()
    assert desk.book.in_force().config.concurrency == 6


def test_one_that_this_version_cannot_read_any_more_goes_by_what_is_in_force(desk):
    desk.write(7)
    name = desk.start(1)
    desk.database.write("""UPDATE policies SET body = '{"formerly": 1}'""")
    desk.open()
    desk.write(3)
    assert desk.concurrency(name) == 3


def test_a_retry_goes_by_what_is_in_force_then(desk):
    desk.write(7)
    name = desk.start(1)
    desk.write(3)
    desk.book.renew(name)
    assert desk.concurrency(name) == 3
    desk.open()
    assert desk.concurrency(name) == 3


def test_what_no_execution_has_is_forgotten_but_for_the_last(desk):
    desk.write(7)
    name = desk.start(1)
    for number in (3, 4, 5):
        desk.write(number)
        desk.book.now()
    desk.policies.forget()
    assert desk.database.row("SELECT count(*) FROM policies") == (2,)
    desk.open()
    assert desk.concurrency(name) == 7
    desk.file.write_text("?")
    assert desk.book.in_force().config.concurrency == 5
