"""Archives that are sent while they are made."""

import io
import tarfile
import threading
from pathlib import Path

import pytest

from agent.actions.release import Archives, Commit, read_file
from agent.actions.upload import Growing, Uploads
from agent.artifacts.pack import collect
from agent.deploy.commands import COMPLETE, FILES, STEPS
from agent.errors import EnvironmentFault
from agent.model.plan import ArtifactOutput
from tests.support.attempts import Bench
from tests.support.repo import Repo

PIECE = 4 * 1024 * 1024
EMPTIED = "find . -depth -type d -exec rmdir {} + 2>/dev/null\n"


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path)


def files_of(data):
    """The files of the release in an upload, and STEPS."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {
            member.name.removeprefix(f"{FILES}/"): f"-> {member.linkname}"
            if member.issym()
            else tar.extractfile(member).read().decode()
            for member in tar
            if member.name != COMPLETE
        }


def sent(source, tmp_path, former=""):
    upload = Uploads(source, tmp_path, 0).get(former)
    return upload, b"".join(upload.archive.chunks())


class TestGrowing:
    def test_a_reader_has_the_beginning_before_the_end_is_made(self, tmp_path):
        go_on = threading.Event()

        def parts():
            yield b"a" * PIECE
            go_on.wait(30)
            yield b"b"

        reader = Growing(tmp_path / "x", parts()).chunks()
        assert bytes(next(reader)).startswith(b"aaa")
        go_on.set()
        assert b"".join(reader).endswith(b"ab")

    def test_each_reader_has_all_of_it(self, tmp_path):
        growing = Growing(tmp_path / "x", (bytes([number]) * 500_000 for number in range(40)))
        found = []
        threads = [threading.Thread(target=lambda: found.append(b"".join(growing.chunks()))) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert found == [b"".join(bytes([number]) * 500_000 for number in range(40))] * 5

    def test_what_cannot_be_made_fails_every_reader(self, tmp_path):
        def parts():
            yield b"a" * PIECE
            raise EnvironmentFault("an object is missing")

        growing = Growing(tmp_path / "x", parts())
        for _ in range(2):
            with pytest.raises(EnvironmentFault, match="an object is missing"):
                list(growing.chunks())

    def test_a_full_disk(self):
        with pytest.raises(EnvironmentFault, match="cannot be written: No space left on device"):
            list(Growing(Path("/dev/full"), [b"x" * PIECE]).chunks())


class TestCommit:
    def test_all_of_it_and_the_difference(self, repo, tmp_path):
        repo.commit_and_push({"a": "1", "d/b": "2", "d/c": "3"})
        one = Commit(repo.server, repo.head)
        repo.git("rm", "-q", "d/c")
        repo.commit_and_push({"a": "x", "e": "4"})
        two = Commit(repo.server, repo.head)
        assert files_of(sent(one, tmp_path)[1]) == {"a": "1", "d/b": "2", "d/c": "3"}
        upload, data = sent(two, tmp_path, one.name)
        assert files_of(data) == {STEPS: f"rm -f ./a ./d/c || exit 1\n{EMPTIED}:\n", "a": "x", "e": "4"}
        assert (upload.former, upload.files) == (one.name, 2)

    @pytest.mark.parametrize("former", ["c-" + "1" * 40, "a-" + "1" * 64, "nonsense"])
    def test_a_release_that_nobody_knows_here_is_no_former_one(self, repo, tmp_path, former):
        repo.commit_and_push({"a": "1"})
        upload, data = sent(Commit(repo.server, repo.head), tmp_path, former)
        assert (upload.former, files_of(data)) == ("", {"a": "1"})

    def test_export_attributes_do_not_count(self, repo, tmp_path):
        repo.commit_and_push({".gitattributes": "a export-ignore\nb export-subst\n", "a": "1", "b": "$Format:%H$"})
        assert files_of(sent(Commit(repo.server, repo.head), tmp_path)[1])["b"] == "$Format:%H$"
        assert "a" in files_of(sent(Commit(repo.server, repo.head), tmp_path)[1])

    def test_one_file(self, repo):
        repo.commit_and_push({"d/a": "1"})
        source = Commit(repo.server, repo.head)
        assert (read_file(source, "d/a"), read_file(source, "b")) == (b"1", None)


class TestArchives:
    @pytest.fixture
    def make(self, tmp_path):
        bench = Bench(tmp_path / "agent")

        def make(**files):
            directory = tmp_path / "files"
            for name, text in files.items():
                path = directory / name.replace("_", "/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(text[3:]) if text.startswith("-> ") else path.write_text(text)
            collected = collect(directory, ArtifactOutput(name="dist", files=("**",)), tmp_path)
            bench.artifacts.put(collected.archive, collected.record.digest)
            for path in sorted(directory.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            return collected.record.digest

        return lambda *parts: Archives(bench.artifacts, [*parts]), make

    def test_all_of_it_and_the_difference(self, make, tmp_path):
        archives, make = make
        one = archives((make(a="1", d_b="2", d_c="same", link="-> a"), ""))
        two = archives((make(a="x", d_c="same", e="4", link="-> e"), ""))
        assert files_of(sent(one, tmp_path)[1]) == {"a": "1", "d/b": "2", "d/c": "same", "link": "-> a"}
        _, data = sent(two, tmp_path, one.name)
        assert files_of(data) == {STEPS: f"rm -f ./a ./d/b ./link || exit 1\n{EMPTIED}:\n", "a": "x", "e": "4", "link": "-> e"}

    def test_a_file_of_the_same_size_with_another_content_travels(self, make, tmp_path):
        archives, make = make
        one, two = archives((make(a="1", b="x"), "")), archives((make(a="2", b="x"), ""))
        assert files_of(sent(two, tmp_path, one.name)[1]) == {STEPS: "rm -f ./a || exit 1\n:\n", "a": "2"}

    def test_several_archives_at_their_paths_and_a_later_one_wins(self, make, tmp_path):
        archives, make = make
        both = archives((make(a="1", b="1"), ""), (make(a="2"), ""), (make(a="3"), "sub/dir"))
        assert files_of(sent(both, tmp_path)[1]) == {"a": "2", "b": "1", "sub/dir/a": "3"}
        assert read_file(both, "a") == b"2"

    def test_names_that_only_a_full_reader_knows(self, make, tmp_path):
        archives, make = make
        names = {"n" * 120: "long", "ü": "not ASCII"}
        assert files_of(sent(archives((make(**names), "")), tmp_path)[1]) == names
