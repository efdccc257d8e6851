"""What the engine is asked to create for a job: names, labels, the wrapper around the script, limits. Pure."""

import math
from pathlib import Path
from typing import Any

from agent.config import Docker
from agent.executors.base import SECRETS_ENV, Job
from agent.model.plan import Resources, Service
from agent.model.value import Value

LABEL = "io.github.git-pipeline."
WORKSPACE = "/workspace"
CONTROL = "/run/git-pipeline"
SECRETS = "/run/secrets"
STARTED = "started"  # in the control directory; exists from the moment the script may have done something
SCRIPT = "script"
HOSTS = "hosts"
NO_SHELL = 125  # exit code of the wrapper before the marker: the image has no such shell
NO_SH = (126, 127)  # of the engine's init before the marker: it has not even `sh`

# Held on `read` until somebody says "go", so that a container can be started ahead; without the marker the script never ran.
# It has no variable of its own but one that no job's can be: a shell exports what it found exported.
WRAPPER = f"""read -r PIPELINE_GO || exit 1
command -v "$2" >/dev/null || exit {NO_SHELL}
: >{CONTROL}/{STARTED} || exit 1
exec </dev/null 2>&1
[ ! -e {SECRETS}/{SECRETS_ENV} ] || {{ set -a; . {SECRETS}/{SECRETS_ENV}; set +a; }}
cd "$1" || exit 1
shift
exec "$@" {CONTROL}/{SCRIPT}
"""

# What apt, pip, npm, chown and tar need as root; measured with each of them.
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID")

Config = dict[str, Any]  # the body of POST /containers/create


class Image(Value, frozen=True, kw_only=True):
    """An image: `id` to run it by, `reference` for the record (a digest, else the id), `user` as whom it runs."""

    id: str
    reference: str
    user: str = ""


class Limits(Value, frozen=True, kw_only=True):
    """What one container may have."""

    memory: int
    cpus: float
    pids: int


def limits(asked: Resources, most: Docker, cores: int) -> Limits:
    """What was asked for, or the operator's default, never more than the operator allows or the engine has cores."""
    return Limits(
        memory=min(asked.memory or most.memory, most.memory),
        cpus=min(asked.cpus or most.cpus, most.cpus, float(cores)),
        pids=min(asked.pids or most.pids, most.pids),
    )


def name(job_id: str, service: str = "") -> str:
    """The name of the container of a job or of one of its services. Deterministic: creating it twice fails."""
    return f"git-pipeline-{job_id}" + (f"-{service}" if service else "")


def labels(repository: str, job: Job) -> dict[str, str]:
    """Those by which everything of this job is found again, then those for people."""
    ours = {LABEL + "repository": repository, LABEL + "execution": job.execution, LABEL + "job": job.id}
    return {LABEL + key: value for key, value in job.labels.items()} | ours


def hosts(services: tuple[Service, ...]) -> str:
    """An /etc/hosts in which all services are this very machine; without a network the engine would leave it empty."""
    names = " ".join(["localhost", *(service.name for service in services)])
    return f"127.0.0.1 {names}\n::1 localhost ip6-localhost ip6-loopback\n"


def shell(command: str) -> list[str]:
    """The argv before the script's path."""
    return [command, "-e"] if command in {"sh", "bash"} else command.split()


def action(job: Job, image: Image, allowed: Limits, labelled: dict[str, str], network: str = "") -> Config:
    """The container of the job itself. `network` is the engine's name of one, empty for none but a loopback of its own."""
    workdir = f"{WORKSPACE}/{job.workdir}" if job.workdir else WORKSPACE
    return _common(image, labelled) | {
        "Hostname": "action",
        "Entrypoint": ["sh"],
        "Cmd": ["-c", WRAPPER, "sh", workdir, *shell(job.shell)],
        "Env": _variables(job.env),
        "User": job.user,
        "WorkingDir": WORKSPACE,
        "StopSignal": "SIGTERM",
        "Healthcheck": {"Test": ["NONE"]},
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "NetworkDisabled": not network,
        "HostConfig": _host(allowed, log="1g")
        | {"Init": True, "NetworkMode": network or "none", "Mounts": [*_mounts(job), *([] if network else [_hosts_file(job)])]},
    }


def service(job: Job, which: Service, image: Image, allowed: Limits, labelled: dict[str, str], network: str = "") -> Config:
    """The container of a service: in the job's own loopback, or under its name in the job's network."""
    config = _common(image, labelled | {LABEL + "service": which.name}) | {
        "Env": _variables(which.env),
        "HostConfig": _host(allowed, log="10m") | {"Init": True},
    }
    if which.command:
        config["Cmd"] = list(which.command)
    if network:
        config["HostConfig"]["NetworkMode"] = network
        config["NetworkingConfig"] = {"EndpointsConfig": {network: {"Aliases": [which.name]}}}
    else:
        config["HostConfig"] |= {"NetworkMode": f"container:{name(job.id)}", "Mounts": [_hosts_file(job)]}
    return config


def _common(image: Image, labelled: dict[str, str]) -> Config:
    return {"Image": image.id, "Labels": labelled, "Tty": False, "AttachStdout": True, "AttachStderr": True}


def _host(allowed: Limits, log: str) -> Config:
    return {
        "CapDrop": ["ALL"],
        "CapAdd": list(CAPABILITIES),
        "SecurityOpt": ["no-new-privileges"],
        "Memory": allowed.memory,
        "MemorySwap": allowed.memory,
        "NanoCpus": math.floor(allowed.cpus * 10**9),
        "PidsLimit": allowed.pids,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": log}},
    }


def _mounts(job: Job) -> list[Config]:
    pairs = {str(job.workspace): WORKSPACE, str(job.control): CONTROL} | job.mounts
    secrets = [_bind(job.secrets, SECRETS) | {"ReadOnly": True}] if job.secrets else []
    return [_bind(Path(source), target) for source, target in pairs.items()] + secrets


def _hosts_file(job: Job) -> Config:
    return _bind(job.control / HOSTS, "/etc/hosts") | {"ReadOnly": True}


def _bind(source: Path, target: str) -> Config:
    return {"Type": "bind", "Source": str(source), "Target": target}


def _variables(env: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in env.items()]
