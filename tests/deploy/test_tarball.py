"""Archives record by record, against the reader of the standard library."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.deploy import tarball

TIME = 1_700_000_000
PARTS = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=60)
NAMES = st.lists(PARTS.filter(lambda part: part not in {".", ".."}), min_size=1, max_size=4).map("/".join)


def archive(files: dict[str, tuple[str, bytes]]) -> bytes:
    parts = []
    for name, (mode, content) in files.items():
        if mode == "120000":
            parts.append(tarball.link(name, content.decode(), TIME))
        else:
            parts += [tarball.head(name, mode, len(content), TIME), content, tarball.padding(len(content))]
    return b"".join([*parts, tarball.END])


@given(st.dictionaries(NAMES, st.tuples(st.sampled_from(["100644", "100755"]), st.binary(max_size=1500)), max_size=5))
def test_what_is_written_is_read_by_others(files):
    with tarfile.open(fileobj=io.BytesIO(archive(files))) as tar:
        found = {member.name: member for member in tar}
        assert list(found) == list(files)
        for name, (mode, content) in files.items():
            assert tar.extractfile(found[name]).read() == content
            assert oct(found[name].mode) == ("0o755" if mode == "100755" else "0o644")
            assert found[name].mtime == TIME


@pytest.mark.parametrize("length", [1, 99, 100, 101, 255, 256, 3000])
def test_long_names_and_targets(length):
    with tarfile.open(fileobj=io.BytesIO(archive({"n" * length: ("120000", b"t" * length)}))) as tar:
        (member,) = tar
        assert (member.name, member.linkname, member.issym()) == ("n" * length, "t" * length, True)


def test_what_is_too_big_is_told():
    with pytest.raises(ValueError, match="too big"):
        tarball.head("x", "100644", 8**11, 0)


def test_it_is_read_back_by_place():
    files = {"a": ("100644", b"one"), "b/c": ("100755", b"x" * 1000), "d": ("120000", b"b/c"), "e": ("100644", b"")}
    data = archive(files)
    found = tarball.read(data)
    assert found is not None
    assert {name: (one.mode, one.target or data[one.start : one.start + one.size]) for name, one in found.items()} == files


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_other_kinds_need_a_full_reader(kind):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("x")
        member.type, member.linkname = kind, "y"
        tar.addfile(member)
    assert tarball.read(buffer.getvalue()) is None


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_of_others_need_a_full_reader(form):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        tar.addfile(tarfile.TarInfo("d" * 80 + "/" + "f" * 80))
    assert tarball.read(buffer.getvalue()) is None


def test_an_archive_that_was_cut_off_is_none():
    assert tarball.read(archive({"a": ("100644", b"x" * 600)})[:700]) is None


CONTENTS = st.tuples(st.sampled_from(["100644", "100755"]), st.binary(max_size=2000) | st.integers(0, 400_000).map(bytes))
LINKS = st.tuples(st.just("120000"), st.sampled_from([b"a", b"b/c"]))
FILES = st.dictionaries(st.sampled_from("abcdefghijkl"), CONTENTS | LINKS, max_size=12)


@given(FILES, FILES, st.sets(st.sampled_from("abcdefghijkl")))
def test_what_is_alike_in_two_archives(olds, others, kept):
    """`kept`: what the newer one has of the older one."""
    news = {name: olds[name] if name in kept and name in olds else other for name, other in {**olds, **others}.items()}
    old, new = archive(olds), archive(news)
    before, after = tarball.read(old), tarball.read(new)
    assert before is not None
    assert after is not None
    assert tarball.alike(old, before, new, after) == {name for name in news if olds.get(name) == news[name]}


def test_one_byte_among_many_files_is_found():
    olds = {f"{number:03}": ("100644", bytes([number]) * 3000) for number in range(200)}
    news = olds | {"077": ("100644", b"M" * 2999 + b"!")}
    old, new = archive(olds), archive(news)
    before, after = tarball.read(old), tarball.read(new)
    assert before is not None
    assert after is not None
    assert tarball.alike(old, before, new, after) == set(olds) - {"077"}
