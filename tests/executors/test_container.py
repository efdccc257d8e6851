"""What the engine is asked for: all of it, so that nothing can slip in."""

from pathlib import Path

import pytest

from agent.config import Docker
from agent.executors import container
from agent.executors.container import Image
from agent.model.plan import Resources, Service
from tests.support.jobs import Jobs

LIMITS = container.limits(Resources(), Docker(), 2)
IMAGE = Image(id="sha256:" + "ab" * 32, reference="x@sha256:" + "cd" * 32, user="app")
ALLOWED = {
    "CapDrop", "CapAdd", "SecurityOpt", "Memory", "MemorySwap", "NanoCpus", "PidsLimit", "LogConfig", "Init", "NetworkMode",
    "Mounts",
}  # fmt: skip


@pytest.fixture
def job(tmp_path):
    (tmp_path / "secrets").mkdir()
    return Jobs(tmp_path, "e1", image="x", secrets=tmp_path / "secrets")("id")


def configs(job, network=""):
    service = Service(name="db", image="x")
    return [
        container.action(job, IMAGE, LIMITS, {}, network),
        container.service(job, service, IMAGE, LIMITS, {}, network),
    ]


@pytest.mark.parametrize("network", ["", "bridge"])
def test_lesson_1_16_nothing_of_the_machine_but_the_directories_of_the_work(job, network):
    home = job.workspace.parent
    for config in configs(job, network):
        host = config["HostConfig"]
        assert host.keys() <= ALLOWED, "no Privileged, Devices, PidMode, IpcMode, UsernsMode, Binds, VolumesFrom, Sysctls …"
        assert host["CapDrop"] == ["ALL"]
        assert set(host["CapAdd"]) == {"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID"}
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["PidsLimit"] > 0
        assert host["Memory"] == host["MemorySwap"] > 0
        assert host.get("NetworkMode", "") != "host"
        for mount in host.get("Mounts", ()):
            assert mount["Type"] == "bind"
            source = Path(mount["Source"])
            assert source.is_relative_to(home) or source == job.secrets
            assert mount["Target"] != "/var/run/docker.sock"
        assert not {"Volumes", "Binds"} & config.keys()


def test_lesson_1_16_secrets_can_only_be_read(job):
    mounts = {one["Target"]: one for one in configs(job)[0]["HostConfig"]["Mounts"]}
    assert mounts["/run/secrets"]["ReadOnly"]
    assert "/run/secrets" not in str(configs(job)[1])  # a service gets none


def test_lesson_1_16_an_image_runs_as_the_user_that_it_names(job):
    """Root only where the image says nothing else: its own user is kept, unless the action asks for another."""
    assert configs(job)[0]["User"] == ""
    assert "User" not in configs(job)[1]


def test_nobody_gets_more_than_the_operator_allows():
    most = Docker(memory=100, cpus=1.5, pids=10)
    asked = container.limits(Resources(memory=1000, cpus=64, pids=5), most, 2)
    assert (asked.memory, asked.cpus, asked.pids) == (100, 1.5, 5)
