"""Fixtures that several folders of tests share. Nothing heavy is imported before a test asks for it."""

import gc
import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("tests.contracts")
settings.register_profile("no deadline", deadline=None)  # a busy machine is no bug
settings.load_profile("no deadline")

gc.set_threshold(20_000, 20, 20)  # what was loaded and collected stays, and is much: looking through it costs a tenth of the time

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # the suite runs in a shell's background; what it starts must hear a Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What is there by now stays."""
    gc.freeze()


@pytest.fixture(scope="session")
def engine() -> None:
    """A Docker engine that answers; started if need be, an error that says what is missing otherwise."""
    from tests.support import engine

    engine.ensure()


@pytest.fixture(scope="session")
def busybox(engine: None) -> str:
    """The name of an image with a shell and busybox's tools."""
    from tests.support import images

    return images.busybox()


@pytest.fixture(scope="session")
def python_image(engine: None) -> str:
    """The name of an image with busybox and python3."""
    from tests.support import images

    return images.python()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory):
    """A registry of images, whose user `ci` has the password `PASSWORD`; it takes the logins of moto's ECR too."""
    from tests.support.registry import Registry

    made = Registry(tmp_path_factory.mktemp("registry"), {"ci": "PASSWORD", "AWS": "123456789012-auth-token"})
    yield made
    made.close()


@pytest.fixture
def as_root() -> None:
    """For tests of what only root can do; says so where it is not."""
    if os.geteuid() != 0:
        pytest.fail("this test needs root (mounts, a private Docker engine): run the suite as root, or deselect it")


@pytest.fixture
def private_engine(as_root: None, tmp_path_factory: pytest.TempPathFactory):
    """Makes Docker engines that may be killed; call with options of support.engine.Private."""
    from tests.support.engine import Private

    made: list[Private] = []

    def make(**options: bool) -> Private:
        made.append(Private(Path(tmp_path_factory.mktemp("engine")), **options))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory):
    """Real keys of every kind, and who has them."""
    from tests.support.keys import Keys

    made = Keys(tmp_path_factory.mktemp("keys"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory):
    """A farm of hosts with real sshds, which has none yet."""
    from tests.support.farm import Farm

    made = Farm(tmp_path_factory.mktemp("farm"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def moto_server():
    """The endpoint of moto's server."""
    from tests.support import cloud

    yield from cloud.serve()


@pytest.fixture
def cloud(moto_server: str, monkeypatch: pytest.MonkeyPatch):
    """An empty cloud, and the environment of an agent that has it for AWS."""
    from tests.support import cloud

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in cloud.environment(moto_server).items():
        monkeypatch.setenv(name, value)
    return cloud.emptied(moto_server)


@pytest.fixture
def web():
    """A web server on this machine."""
    from tests.support.web import Web

    made = Web()
    yield made
    made.close()
