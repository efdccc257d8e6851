import hashlib
import io
import os
import socket
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.artifacts import pack
from agent.artifacts.base import ArtifactError
from agent.artifacts.pack import Limits
from agent.errors import EnvironmentFault
from agent.model.plan import ArtifactOutput


def output(*files, **fields):
    return ArtifactOutput(name="dist", files=files, **fields)


def names(archive):
    with tarfile.open(archive) as tar:
        return tar.getnames()


@pytest.fixture
def workspace(tmp_path):
    place = tmp_path / "workspace"
    for name in ("dist/app.whl", "dist/sub/data.txt", "dist/sub/deep/x.md", "src/a.py", "README.md"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(name)
    return place


@pytest.fixture
def into(tmp_path):
    place = tmp_path / "into"
    place.mkdir()
    return place


@pytest.mark.parametrize(
    ("files", "exclude", "expected"),
    [
        (["dist/**"], [], ["dist/app.whl", "dist/sub/data.txt", "dist/sub/deep/x.md"]),
        (["dist/*"], [], ["dist/app.whl"]),
        (["dist"], [], ["dist/app.whl", "dist/sub/data.txt", "dist/sub/deep/x.md"]),
        (["dist/"], ["dist/sub"], ["dist/app.whl"]),
        (["**/*.{md,txt}"], [], ["README.md", "dist/sub/data.txt", "dist/sub/deep/x.md"]),
        (["**/*.md"], ["dist/**"], ["README.md"]),
        (["*.md", "src/?.py"], [], ["README.md", "src/a.py"]),
        (["dist/sub/*/x.md"], [], ["dist/sub/deep/x.md"]),
        (["{dist/sub,src}/*"], [], ["dist/sub/data.txt", "src/a.py"]),
    ],
)
def test_globs(workspace, into, files, exclude, expected):
    found = pack.collect(workspace, output(*files, exclude=tuple(exclude)), into)
    assert names(found.archive) == expected
    assert found.record.files == len(expected)
    assert found.record.size == found.archive.stat().st_size
    assert found.record.digest == hashlib.sha256(found.archive.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("files", "fields", "expected"),
    [
        (["**"], {"base": "dist"}, ["app.whl", "sub/data.txt", "sub/deep/x.md"]),
        (["**/*"], {"base": "dist/sub", "exclude": ("*.txt",)}, ["deep/x.md"]),
        (["**/*.{md,txt}"], {"flat": True, "exclude": ("README.md",)}, ["data.txt", "x.md"]),
        (["sub/**"], {"base": "dist", "flat": True}, ["data.txt", "x.md"]),
        (["*.none"], {"base": "dist", "optional": True}, []),
    ],
)
def test_a_base_and_no_directories(workspace, into, files, fields, expected):
    found = pack.collect(workspace, output(*files, **fields), into)
    assert names(found.archive) == expected


def test_two_files_of_one_name(workspace, into):
    (workspace / "src/app.whl").write_text("another")
    with pytest.raises(ArtifactError, match=r"dist/app.whl and src/app.whl have one name"):
        pack.collect(workspace, output("**", flat=True), into)
    assert list(into.iterdir()) == []


def test_a_base_is_no_way_out(workspace, into, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("x")
    (workspace / "away").symlink_to(tmp_path / "outside")
    (workspace / "dist/up").symlink_to("../README.md")
    with pytest.raises(ArtifactError, match="no file matches 'away/"):
        pack.collect(workspace, output("**/*", base="away"), into)
    with pytest.raises(ArtifactError, match=r"up is a symbolic link to \.\./README\.md, which leads out"):
        pack.collect(workspace, output("**", base="dist"), into)


def test_the_same_files_make_the_same_archive(workspace, into):
    first = pack.collect(workspace, output("**"), into)
    for file in sorted(workspace.rglob("*"), reverse=True):
        os.utime(file, (1, 1))
        if file.is_file():
            file.chmod(0o600)
    os.chown(workspace / "README.md", os.getuid(), os.getgid())
    assert pack.collect(workspace, output("**"), into).record == first.record


def test_the_executable_bit_is_kept_and_no_other(workspace, into, tmp_path):
    (workspace / "README.md").chmod(0o4777)
    found = pack.collect(workspace, output("*"), into)
    with tarfile.open(found.archive) as tar:
        (member,) = tar.getmembers()
    assert (member.mode, member.uid, member.gid, member.uname, member.mtime) == (0o755, 0, 0, "", pack.TIME)
    pack.unpack(found.archive, into)
    assert (into / "README.md").stat().st_mode & 0o7777 == 0o755


def test_a_missing_file_names_the_glob_and_what_is_near(workspace, into):
    with pytest.raises(ArtifactError) as caught:
        pack.collect(workspace, output("dist/**", "dist/*.tar.gz"), into)
    assert "'dist/*.tar.gz'" in caught.value.message
    assert "dist/app.whl" in caught.value.hint
    with pytest.raises(ArtifactError) as caught:
        pack.collect(workspace, output("build/app.whl"), into)
    assert "dist/app.whl" in caught.value.hint
    assert list(into.iterdir()) == []


def test_what_is_excluded_does_not_count(workspace, into):
    with pytest.raises(ArtifactError, match="not excluded"):
        pack.collect(workspace, output("src/**", exclude=("**/*.py",)), into)


def test_optional_and_missing_is_an_empty_archive(workspace, into, tmp_path):
    found = pack.collect(workspace, output("nothing/**", optional=True), into)
    assert found.record.files == 0
    pack.unpack(found.archive, tmp_path / "workspace")


def test_links_inside_are_kept_and_not_followed(workspace, into, tmp_path):
    (workspace / "dist/current").symlink_to("sub")
    (workspace / "dist/sub/up").symlink_to("../../README.md")
    (workspace / "dist/dangling").symlink_to("later")
    found = pack.collect(workspace, output("dist/**"), into)
    target = tmp_path / "target"
    target.mkdir()
    pack.unpack(found.archive, target, "a/b")
    assert (target / "a/b/dist/current").readlink() == Path("sub")
    assert (target / "a/b/dist/sub/up").readlink() == Path("../../README.md")
    assert "dist/current/data.txt" not in names(found.archive)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "sub/../../../x", "..", "../..", "../dist/sub/.."])
def test_a_link_that_leads_out_fails_by_name(workspace, into, target):
    (workspace / "dist/evil").symlink_to(target)
    if target == "..":  # the workspace itself is still inside
        assert "dist/evil" in names(pack.collect(workspace, output("dist/**"), into).archive)
        return
    with pytest.raises(ArtifactError, match=r"dist/evil is a symbolic link to .*, which leads out"):
        pack.collect(workspace, output("dist/**"), into)


def test_a_link_to_a_directory_outside_is_not_entered(workspace, into, tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("k")
    (workspace / "dist/door").symlink_to(tmp_path / "secret")
    with pytest.raises(ArtifactError, match="'dist/door/key'"):
        pack.collect(workspace, output("dist/door/key"), into)


def test_devices_pipes_and_sockets_are_refused(workspace, into):
    os.mkfifo(workspace / "dist/pipe")
    with pytest.raises(ArtifactError, match="dist/pipe"):
        pack.collect(workspace, output("dist/**"), into)
    (workspace / "dist/pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(workspace / "dist/sock"))
        with pytest.raises(ArtifactError, match="dist/sock"):
            pack.collect(workspace, output("dist/**"), into)
        found = pack.collect(workspace, output("dist/**", exclude=("dist/sock",)), into)
    assert found.record.files == 3


def test_too_much_is_refused_on_both_sides(workspace, into):
    with pytest.raises(ArtifactError, match="too big"):
        pack.collect(workspace, output("**"), into, Limits(files=2))
    with pytest.raises(ArtifactError, match="too big"):
        pack.collect(workspace, output("**"), into, Limits(size=600))
    found = pack.collect(workspace, output("**"), into)
    for limits in (Limits(files=2), Limits(size=10)):
        with pytest.raises(ArtifactError, match="more than"):
            pack.unpack(found.archive, into, limits=limits)


def test_unpacking_replaces_what_is_there(workspace, into):
    found = pack.collect(workspace, output("dist/**"), into)
    for name in ("dist/app.whl", "dist/sub/data.txt"):
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        (into / name).symlink_to("/etc/passwd")
    for _ in range(2):
        pack.unpack(found.archive, into)
    assert (into / "dist/sub/data.txt").read_text() == "dist/sub/data.txt"
    assert not (into / "dist/app.whl").is_symlink()


def member(name, kind=tarfile.REGTYPE, content=b"evil", **fields):
    made = tarfile.TarInfo(name)
    made.type = kind
    made.size = len(content) if kind == tarfile.REGTYPE else 0
    for key, value in fields.items():
        setattr(made, key, value)
    return made, content


def crafted(path, *members):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for made, content in members:
            tar.addfile(made, io.BytesIO(content) if made.size else None)
    return path


ESCAPES = {
    "dots": [member("../evil")],
    "dots inside": [member("a/../../evil")],
    "absolute": [member("/tmp/evil")],
    "nothing": [member(".")],
    "absolute link": [member("l", tarfile.SYMTYPE, linkname="/etc")],
    "link out": [member("a/l", tarfile.SYMTYPE, linkname="../../x")],
    "link by a detour": [
        member("a/b/up", tarfile.SYMTYPE, linkname="../.."),
        member("l", tarfile.SYMTYPE, linkname="a/b/up/../evil"),
    ],
    "through a link": [member("l", tarfile.SYMTYPE, linkname="a"), member("l/evil")],
    "hard link": [member("evil", tarfile.LNKTYPE, linkname="../../etc/passwd")],
    "device": [member("evil", tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "block device": [member("evil", tarfile.BLKTYPE, devmajor=8, devminor=0)],
    "pipe": [member("evil", tarfile.FIFOTYPE)],
    "set-uid": [member("evil", mode=0o4755)],
    "set-gid": [member("evil", mode=0o2755)],
    "NUL": [member("x", pax_headers={"path": "a\0b"})],
    "deep": [member("d/" * 300 + "evil")],
    "link without a target": [member("evil", tarfile.SYMTYPE, linkname="")],
}


@pytest.mark.parametrize("case", ESCAPES)
def test_a_crafted_archive_does_not_get_out(case, tmp_path):
    inner = tmp_path / "outer/inner"
    inner.mkdir(parents=True)
    archive = crafted(tmp_path / "bad.tar", *ESCAPES[case])
    with pytest.raises(ArtifactError) as caught:
        pack.unpack(archive, inner)
    assert caught.value.message
    evil = [place for place in tmp_path.rglob("*") if place.name == "evil" and not place.is_relative_to(inner)]
    assert evil == []
    assert not any(place.is_file() and not place.is_symlink() for place in inner.rglob("*"))


def test_a_link_that_lies_in_the_target_already_is_no_way_out(tmp_path):
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    target.mkdir()
    (target / "dist").symlink_to(outside)
    archive = crafted(tmp_path / "a.tar", member("dist/evil"))
    with pytest.raises(ArtifactError, match="dist"):
        pack.unpack(archive, target)
    with pytest.raises(ArtifactError, match="dist"):
        pack.unpack(crafted(tmp_path / "b.tar", member("evil")), target, "dist")
    assert list(outside.iterdir()) == []
    for path in ("../outside", "/tmp"):
        with pytest.raises(ArtifactError, match="leads out"):
            pack.unpack(archive, target, path)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_archive_is_told_whatever_the_damage(tmp_path_factory, data):
    place = tmp_path_factory.mktemp("damaged")
    whole = bytearray(crafted(place / "a.tar", member("a/b", content=b"x" * 700), member("c" * 150)).read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at:] = data.draw(st.binary(max_size=600)) + bytes(whole[at + 600 :])
    (place / "a.tar").write_bytes(whole)
    target = place / "outer/target"
    target.mkdir(parents=True)
    with suppress(ArtifactError, EnvironmentFault):
        pack.unpack(place / "a.tar", target)
    assert {entry.name for entry in place.iterdir()} == {"a.tar", "outer"}
    assert [entry.name for entry in (place / "outer").iterdir()] == ["target"]


segment = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=12).filter(
    lambda text: text not in {".", ".."} and len(text.encode()) < 200
)
files = st.dictionaries(
    st.lists(segment, min_size=1, max_size=4).map("/".join), st.tuples(st.binary(max_size=2000), st.booleans()), max_size=12
)


def written(root, made):
    """Write what can stand beside the rest (no name is a directory of another)."""
    there = {}
    for name, (content, executable) in made.items():
        place = root / name
        if any(other.startswith(name + "/") or name.startswith(other + "/") for other in there):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(0o755 if executable else 0o644)
        there[name] = (content, executable)
    return there


def read_back(root):
    return {
        place.relative_to(root).as_posix(): (place.read_bytes(), bool(place.stat().st_mode & 0o100))
        for place in root.rglob("*")
        if place.is_file()
    }


@given(files)
@settings(max_examples=80, deadline=None)
def test_what_goes_in_comes_out(tmp_path_factory, made):
    root = tmp_path_factory.mktemp("round")
    for name in ("in", "out"):
        (root / name).mkdir()
    there = written(root / "in", made)
    found = pack.collect(root / "in", output("**", optional=True), root)
    pack.unpack(found.archive, root / "out")
    assert read_back(root / "out") == there
    assert pack.collect(root / "out", output("**", optional=True), root).record == found.record


def test_names_that_are_not_utf8_survive(workspace, into, tmp_path):
    (workspace / "dist" / os.fsdecode(b"caf\xe9")).write_text("latin")
    found = pack.collect(workspace, output("dist/**"), into)
    pack.unpack(found.archive, into)
    assert (into / "dist" / os.fsdecode(b"caf\xe9")).read_text() == "latin"
