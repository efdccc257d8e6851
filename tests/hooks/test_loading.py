"""msgspec as the hook loads it: what it is spared, and that it does all the same what we ask of it."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[2]
SPARED = {"typing_extensions", "platform", "textwrap", "inspect", "msgspec.inspect", "msgspec._json_schema", "site"}
ASK = """
import msgspec
from agent.model.control import Answer, Wish
wish = Wish(demand=Answer(pipeline="release", number=2, stage="qa", approved=True), by="alice")
assert msgspec.json.decode(msgspec.json.encode(wish), type=Wish) == wish
try:
    msgspec.json.decode(b'{"demand": {"type": "answer"}}', type=Wish)
except msgspec.ValidationError:
    print(*sys.modules)
"""


def loaded(
    before: str = "", *, flags: tuple[str, ...] = ("-I", "-S"), ask: str = ASK, python: Path = Path(sys.executable)
) -> set[str]:
    """The modules of an interpreter, started as the shim does it, that has loaded and used it."""
    start = f"import sys; sys.path.append({str(ROOT)!r}); from agent.hooks import loading\n"
    code = f"{start}{before}\nloading.load_msgspec()\n{ask}"
    done = subprocess.run([python, *flags, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_what_is_spared_every_control_tag():
    found = loaded()
    assert "msgspec" in found
    assert not SPARED & found


def test_what_stood_in_is_gone():
    ask = "import platform, msgspec.inspect\nprint(platform.system())\nassert msgspec.inspect.type_info(int)"
    assert loaded(ask=ask) == {"Linux"}


@pytest.mark.parametrize(
    "change",
    [
        "loading._STAND_INS['msgspec._utils'] = loading._STAND_INS['msgspec.inspect']",
        "loading._STAND_INS['msgspec._core'] = None",
        "loading._STAND_INS['uuid'] = loading._STAND_INS['msgspec.inspect']",
    ],
)
def test_a_version_that_asks_for_more_is_loaded_whole(change):
    assert {"msgspec", "msgspec.inspect", "msgspec._json_schema"} <= loaded(change)


def test_what_is_loaded_already_is_left_alone():
    assert {"msgspec", "msgspec.inspect"} <= loaded("import msgspec", flags=("-I",))


def test_packages_that_lie_elsewhere_are_found_by_site(tmp_path):
    """An environment that names in a .pth file where they are."""
    packages = tmp_path / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    packages.mkdir(parents=True)
    (packages / "elsewhere.pth").write_text(f"{Path(msgspec.__file__).parents[1]}\n")
    python = Path(sys.executable).resolve()
    (tmp_path / "pyvenv.cfg").write_text(f"home = {python.parent}\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(python)
    assert {"msgspec", "site"} <= loaded(python=tmp_path / "bin/python")
