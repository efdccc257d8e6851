"""Files as pieces of their former selves."""

import hashlib
import os
import subprocess
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.deploy import patch

DICE = Random(7)
OLD = DICE.randbytes(1_500_000)
EDITS = st.tuples(
    st.integers(0, len(OLD)), st.integers(0, 100_000), st.integers(0, 100_000), st.sampled_from([b"\0", b"ab", b""])
)


def made(old, found, new):
    return b"".join((old if piece.is_old else new)[piece.start : piece.start + piece.size] for piece in found)


def sent(found):
    return sum(piece.size for piece in found if not piece.is_old)


@given(st.lists(EDITS, max_size=4))
def test_the_pieces_make_the_file(edits):
    new = OLD
    for at, gone, more, text in edits:
        new = new[:at] + (text * more)[:more] + new[at + gone :]
    assert made(OLD, patch.pieces(OLD, new), new) == new


@pytest.mark.parametrize(
    ("new", "most"),
    [
        pytest.param(OLD, 0, id="the same"),
        pytest.param(OLD[:700_000] + b"x" + OLD[700_001:], 4096, id="a byte"),
        pytest.param(OLD[:700_000] + b"inserted" + OLD[700_000:], 4096 + 8, id="an insertion"),
        pytest.param(OLD[:700_000] + OLD[900_000:], 4096, id="a deletion"),
        pytest.param(OLD + b"at the end", 10, id="an addition"),
        pytest.param(b"a head" + OLD, 4096 + 6, id="a head"),
        pytest.param(b"".join(OLD[at : at + 99_000] + b"!" * 7 for at in range(0, len(OLD), 99_000)), 150_000, id="many"),
        pytest.param(bytes(1_500_000), 1_500_000, id="another"),
    ],
)
def test_little_travels(new, most):
    found = patch.pieces(OLD, new)
    assert made(OLD, found, new) == new
    assert sent(found) <= most
    assert patch.is_worth_it(found) == (most < 1_000_000)


@pytest.mark.parametrize("alone", [True, False], ids=["looked at alone", "looked at together"])
@pytest.mark.parametrize("tampered", ["", "one", "last"])
@pytest.mark.parametrize("openssl", [True, False], ids=["openssl", "no openssl"])
def test_a_host_makes_the_files_and_notices_what_was_not_as_it_should_be(shell, alone, tampered, openssl, tmp_path):
    new = OLD[:700_000] + b"inserted" + OLD[700_000:]
    digest = hashlib.sha256(new).hexdigest()
    former, parts, made_here = tmp_path / "former", tmp_path / "parts", tmp_path / "new"
    for directory in (former, parts, made_here):
        directory.mkdir()
    text, sums = patch.FUNCTIONS, ""
    for number, name in enumerate(("one", "it's", "last")):
        (former / name).write_bytes(OLD[:-1] + b"!" if name == tampered else OLD)
        found = patch.pieces(OLD, new)
        (parts / str(number)).write_bytes(b"".join(new[one.start : one.start + one.size] for one in found if not one.is_old))
        text += patch.lines(name, number, found, executable=name == "one", digest=digest if alone else "")
        sums += "" if alone else patch.checksum(name, digest)
    (parts / "sums").write_text(sums)
    if not openssl:
        text = f"openssl() {{ return 127; }}\n{text}"
    environment = {"PATH": os.environ["PATH"], "from": str(former), "parts": str(parts)}
    done = subprocess.run([*shell, "-c", text + patch.CHECK], cwd=made_here, env=environment, capture_output=True, text=True)
    assert (done.returncode == 0) == (not tampered), done.stderr
    if not tampered:
        assert {path.name: path.read_bytes() == new for path in made_here.iterdir()} == dict.fromkeys(
            ("one", "it's", "last"), True
        )
        assert os.access(made_here / "one", os.X_OK)
        assert not (made_here / "last").stat().st_mode & 0o111
