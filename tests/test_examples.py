"""Every example: judged, planned, and run by a real push to a real repository.

What this machine cannot have is replaced in the text of the pipeline, and only here: images of a registry by the test images, the
matrix' Pythons and Node by those of this machine, memcached by a store that speaks its protocol, hosts by sshd processes.
"""

import json
import shutil
import sys
from pathlib import Path

import pytest

from agent.cli.main import run
from agent.config import parse
from agent.model.outcome import Status
from tests.support.farm import Farm
from tests.support.repo import Repo
from tests.support.steered import Steered

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PROJECTS = sorted(path.name for path in EXAMPLES.iterdir() if (path / ".pipeline").is_dir())
LEGS = ("unit (3.11)", "unit (3.12)", "unit (3.13)")
MEMCACHED = """\
import socketserver
kept = {}
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            verb, *words = line.decode().split()
            if verb == "quit":
                return
            self.wfile.write(getattr(self, verb)(*words))
    def version(self):
        return b"VERSION 1.6.0\\r\\n"
    def set(self, key, flags, seconds, size):
        kept[key] = self.rfile.read(int(size) + 2)[:-2]
        return b"STORED\\r\\n"
    def get(self, key):
        found = kept.get(key)
        return b"END\\r\\n" if found is None else b"VALUE %s 0 %d\\r\\n%s\\r\\nEND\\r\\n" % (key.encode(), len(found), found)
    def delete(self, key):
        return b"NOT_FOUND\\r\\n" if kept.pop(key, None) is None else b"DELETED\\r\\n"
socketserver.ThreadingTCPServer(("", 11211), Handler).serve_forever()
"""


class Project(Steered):
    """A repository whose clone holds an example."""

    def take(self, name: str) -> None:
        """The example's files, as they are."""
        shutil.copytree(EXAMPLES / name, self.clone, dirs_exist_ok=True)

    def replace(self, name: str, old: str, new: str, count: int = 1) -> None:
        """Something in a file, that stands there exactly so often."""
        path = self.clone / name
        assert path.read_text().count(old) == count
        path.write_text(path.read_text().replace(old, new))

    def record(self, pipeline: str, *, status: str = "Succeeded", number: int = 1) -> dict:
        """What the note of the commit tells of an execution, once it says this."""
        self.wait(lambda: self._record(pipeline, number).get("status") in {status, *_FINAL}, f"{pipeline} #{number} {status}")
        found = self._record(pipeline, number)
        assert found["status"] == status, (self.note("pipeline", self.head) or b"").decode() + self.logged()
        return found

    def rest(self) -> None:
        """Until the worker has left by itself, and with it the containers of what ended."""
        self.wait(lambda: not self.workers, "the worker is gone")

    def logged(self) -> str:
        """The complete log of the commit."""
        return (self.note("pipeline-log", self.head) or b"").decode()

    def _record(self, pipeline: str, number: int) -> dict:
        lines = map(json.loads, (self.note("pipeline-record", self.head) or b"").splitlines())
        return next((line for line in lines if (line["pipeline"], line["number"]) == (pipeline, number)), {})


_FINAL = frozenset(status.value for status in Status if status.is_final)


@pytest.fixture
def project(tmp_path, keys):
    made = Project(tmp_path / "project", keys)
    made.hurry()
    yield made
    made.rest()
    made.end()


def actions(record: dict, stage: str) -> dict[str, dict]:
    """The actions of a stage by name."""
    found = next(one for one in record["stages"] if one["name"] == stage)
    return {action["name"]: action for action in found["actions"]}


# --- as they are ----------------------------------------------------------------------------------------------------------


def test_each_has_a_readme_and_a_line_in_the_list():
    listed = (EXAMPLES / "README.md").read_text()
    for name in PROJECTS:
        assert (EXAMPLES / name / "README.md").read_text().startswith("# ")
        assert f"]({name}/)" in listed


@pytest.mark.parametrize("name", PROJECTS)
def test_is_judged_without_a_word_and_planned(name, tmp_path, monkeypatch, capfd):
    repo = Repo(tmp_path)
    shutil.copytree(EXAMPLES / name, repo.clone, dirs_exist_ok=True)
    repo.commit()
    monkeypatch.chdir(repo.clone)
    pipelines = sorted(path.stem for path in (repo.clone / ".pipeline").glob("*.yaml"))
    assert run(["check"]) == 0
    told = capfd.readouterr()
    assert told.err == ""
    assert told.out.endswith(f"without a mistake: {', '.join(pipelines)}\n")
    for pipeline in pipelines:
        assert run(["graph", pipeline]) == 0
        assert capfd.readouterr().out


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/config.toml")), ids=lambda path: path.parent.name)
def test_an_operators_file_is_read(path):
    assert parse({str(path): path.read_bytes()}).hosts


# --- run ------------------------------------------------------------------------------------------------------------------


def test_python_package(project):
    """By the Python that runs the tests, which has pip, pytest, ruff and setuptools."""
    project.environment["PATH"] = f"{Path(sys.executable).parent}:{project.environment['PATH']}"
    project.take("python-package")
    file = ".pipeline/package.yaml"
    project.replace(file, 'image: "python:3.12-slim", network: true', "runner: local")
    project.replace(file, '        image: "python:${{ matrix.python }}-slim"\n', "")
    project.replace(file, "pip install -q -r ci-requirements.txt", "pip --version", 3)
    project.commit()
    project.push()
    record = project.record("package")
    build = actions(record, "build")
    assert set(build) == {"wheel", "lint", *LEGS}
    assert build["wheel"]["outputs"] == {"file": "slug-1.2.0-py3-none-any.whl"}
    assert "slug-1.2.0-py3-none-any.whl works" in project.logged()
    assert {name: build[name]["tests"]["tests"] for name in build if "unit" in name} == dict.fromkeys(LEGS, 4)

    project.commit_and_push({"notes.md": "only words"})
    assert [row.number for row in project.executions] == [1]

    text = (project.clone / "src/slug/__init__.py").read_text().replace("lower()", "upper()")
    project.commit_and_push({"src/slug/__init__.py": text})
    failed = actions(project.record("package", status="Failed", number=2), "build")
    assert failed["unit (3.12)"]["status"] == "Failed"
    assert failed["wheel"]["status"] == "Succeeded"


@pytest.mark.skipif(not shutil.which("npm"), reason="node and npm are not on this machine")
def test_node_service(project):
    project.take("node-service")
    project.replace(".pipeline/service.yaml", 'image: "node:22", network: true', "runner: local")
    project.commit()
    project.push()
    record = project.record("service")
    assert [one["name"] for one in actions(record, "pack")["tarball"]["artifacts"]] == ["package"]


def test_monorepo(project, python_image):
    project.take("monorepo")
    for name in ("api", "shop"):
        project.replace(f".pipeline/{name}.yaml", "python:3.12-slim", python_image)
    project.commit()
    project.push()
    project.record("api")
    project.record("shop")
    assert "test_names_are_escaped" in project.logged()
    text = (project.clone / "shop/__main__.py").read_text()
    project.commit_and_push({"shop/__main__.py": text.replace("plums", "cherries"), "api/README.md": "words"})
    project.record("shop", number=2)
    project.commit_and_push({"api/more.py": "MORE = 1\n"})
    project.record("api", number=2)
    assert sorted(project.labels) == ["api #1", "api #2", "shop #1", "shop #2"]


def test_services(project, python_image):
    project.take("services")
    file = ".pipeline/store.yaml"
    project.replace(file, "python:3.12-slim", python_image)
    stand_in = f'"{python_image}"\n            command: [python3, -c, {json.dumps(MEMCACHED)}]'
    project.replace(file, '"memcached:${{ matrix.memcached }}-alpine"', stand_in)
    project.commit()
    project.push()
    assert set(actions(project.record("store"), "test")) == {"integration (1.5)", "integration (1.6)"}
    assert project.logged().count("Ran 2 tests") == 2


def test_codebuild(project, python_image):
    project.take("codebuild")
    project.replace(".pipeline/codebuild.yaml", "python:3.12-slim", python_image)
    project.commit()
    project.push()
    record = project.record("codebuild")
    assert actions(record, "build")["function"]["outputs"] == {"VERSION": "2.4"}
    for line in ("the build ended", "packed version 2.4", "function.zip holds version 2.4"):
        assert line in project.logged()


class Deployed(Project):
    """The example `deploy` with a farm for its hosts, in the order of its config.toml: staging, then two of production."""

    def prepare(self, farm: Farm, image: str) -> None:
        self.take("deploy")
        self.replace(".pipeline/deploy.yaml", "alpine:3.20", image)
        self.hosts = [farm.host() for _ in range(3)]
        for host in self.hosts:
            self.greeting(host).parent.mkdir(parents=True)
            self.greeting(host).write_text(f"Hello from {host.name}\n")
        self.configure(self._config(farm))

    def greeting(self, host) -> Path:
        return host.root.parent / "srv/page/shared/greeting"

    def page(self, host) -> str:
        current = host.root.parent / "srv/page"
        return (current / (current / "current").readlink() / "public/index.html").read_text()

    def _config(self, farm: Farm) -> str:
        text = (EXAMPLES / "deploy/config.toml").read_text()
        line = next(line for line in text.splitlines() if line.startswith("keys = "))
        text = text.replace(line, f"keys = ['{self.keys.public('alice')}']")
        for address, host in zip(("10.0.2.11", "10.0.1.11", "10.0.1.12"), self.hosts, strict=True):
            assert address in text
            text = text.replace(address, f"{host.address}:{host.port}")
        shutil.copy(farm.key, self.directory / "deploy-key")
        (self.directory / "known_hosts").write_text("".join(f"{host.known}\n" for host in self.hosts))
        return 'linger = "PT0.3S"\n' + text.replace('user = "deploy"', 'user = "root"')


@pytest.fixture
def deployed(tmp_path, keys):
    farm = Farm(tmp_path / "farm")
    made = Deployed(tmp_path / "project", keys)
    made.farm = farm
    yield made
    made.rest()
    made.end()
    farm.close()


def test_deploy(deployed, busybox):
    """Staging, a signed yes, production; then a host that is not well, and production goes back whole."""
    deployed.prepare(deployed.farm, busybox)
    staging, first, second = deployed.hosts
    deployed.commit()
    deployed.push()
    deployed.wait(lambda: "<h1>Hello from h1</h1>" in deployed.page(staging), "it is on staging")
    assert not (first.root.parent / "srv/page/current").exists()
    deployed.told("approve/deploy/1/sign-off/alice")
    record = deployed.record("deploy")
    assert actions(record, "production")["page"]["message"] == "2/2 hosts"
    assert "Hello from h2" in deployed.page(first)

    deployed.greeting(second).write_text("")
    deployed.commit_and_push({"VERSION": "2.0\n"})
    deployed.told("approve/deploy/2/sign-off/alice")
    bad = actions(deployed.record("deploy", status="Failed", number=2), "production")["page"]
    assert "health check failed" in bad["message"]
    assert "Version 2.0" in deployed.page(staging)
    assert "Version 1.0" in deployed.page(first)
    assert "Version 1.0" in deployed.page(second)
