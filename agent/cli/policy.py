"""`git pipeline policy explain`: what the operator's configuration means for a ref and a person, without running anything."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.errors import RefusedError, UsageError
from agent.model.ids import RefName
from agent.worker.places import Directories

if TYPE_CHECKING:
    from agent.config import Account, Config, HostGroup, Registry, Secret
    from agent.settings import Repository, Server


@click.group(name="policy")
def command() -> None:
    """What the operator's configuration allows."""


@command.command(name="explain")
@click.argument("repository", metavar="[REPO.git]", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@click.option("--ref", default="refs/heads/main", show_default=True, help="a full ref name, or a branch")
@click.option("--as", "person", default="", help="a person of the configuration")
def explain(repository: Path, ref: str, person: str) -> None:
    """Say what executions of a ref may use, and what a person may decide."""
    from agent.worker.configured import load_config  # pydantic

    if not (repository / "pipeline").is_dir():
        raise UsageError(f"git-pipeline is not installed in {repository.resolve()}", hint="name the repository on the server")
    config = load_config(Directories(repository))
    full = RefName(ref if ref.startswith("refs/") else f"refs/heads/{ref}")
    for line in (*of_ref(config, full), *(of_person(config, person) if person else ())):
        click.echo(line)


def of_ref(config: "Config", ref: RefName) -> Iterator[str]:
    """What executions of this ref get, line by line."""
    from agent.worker.permit import Permit

    permit = Permit(config)
    protected = permit.is_protected(ref)
    patterns = ", ".join(config.protected) or "nothing"
    yield f"{ref} is {'protected' if protected else 'not protected'} (protected: {patterns})"
    docker = config.docker
    yield f"  containers: images {', '.join(docker.images) or 'none'}; network {'on request' if docker.network else 'never'}"
    yield f"  at most {docker.memory // 1024**2} MiB, {docker.cpus:g} processors, {docker.pids} processes each"
    local = config.local
    yield "  local processes: " + (f"pipelines {', '.join(local.pipelines)}" if local.enabled else "never")
    builds = f"pipelines {', '.join(config.builds.pipelines)}; stages {', '.join(config.builds.stages)}"
    yield "  builds of images: " + (builds if permit.builds(ref) else "never")
    for name, secret in sorted(config.secrets.items()):
        yield f"  secret {name}: {_where(secret, given=protected or secret.unprotected)}"
    if not config.secrets:
        yield "  secrets: none are configured"
    for name, group in sorted(config.hosts.items()):
        yield f"  hosts {name}: {_where(group, given=protected)}"
    if not config.hosts:
        yield "  hosts: none are configured"
    for name, account in sorted(config.accounts.items()):
        who = f"{account.role or 'the agent itself'}; regions {', '.join(account.regions)}; " if protected else ""
        yield f"  AWS account {name}: {who}{_where(account, given=protected)}"
    if not config.accounts:
        yield "  AWS accounts: none are configured"
    yield from _around(config, ref, protected=protected)


def _around(config: "Config", ref: RefName, *, protected: bool) -> Iterator[str]:
    """The systems around that are open by name."""
    for name, server in sorted(config.servers.items()):
        yield f"  server {name}: {server.url + '; ' if protected else ''}{_at(server, ref, protected=protected)}"
    if not config.servers:
        yield "  servers: none are configured"
    for name, registry in sorted(config.registries.items()):
        what = f"{', '.join(registry.repositories)}; " if protected else ""
        yield f"  registry {name}: {what}{_where(registry, given=protected)}"
    for name, other in sorted(config.repositories.items()):
        starts = f"{other.path}; starts {', '.join(other.starts)}; " if protected else ""
        yield f"  repository {name}: {starts}{_at(other, ref, protected=protected)}"


def _at(section: "Repository | Server", ref: RefName, *, protected: bool) -> str:
    from agent.worker.permit import fits

    if protected and not fits(section.refs, ref):
        return f"never, as it is for {', '.join(section.refs) or 'no ref'}"
    return _where(section, given=protected)


def _where(section: "Secret | HostGroup | Account | Registry | Repository | Server", *, given: bool) -> str:
    places = f"pipelines {', '.join(section.pipelines)}; stages {', '.join(section.stages)}"
    return places if given else "never, as the ref is not protected"


def of_person(config: "Config", name: str) -> Iterator[str]:
    """What this person may decide. Raises RefusedError if the configuration knows nobody of this name."""
    person = config.people.get(name)
    if person is None:
        known = ", ".join(sorted(config.people)) or "nobody"
        raise RefusedError(f"the configuration does not know {name}", hint=f"it knows {known}")
    roles = {name, *person.roles}
    verbs = [verb for verb in type(config.control).model_fields if isinstance(getattr(config.control, verb), tuple)]
    may = [verb for verb in verbs if roles & set(getattr(config.control, verb))]
    yield f"{name}: roles {', '.join(person.roles) or 'none'}; {len(person.keys)} keys"
    yield f"  may {', '.join(may) or 'steer nothing'}"
    yield f"  may approve what asks for {' or '.join(sorted(roles))}" + (
        ", or for nobody in particular" if "operator" in roles else ""
    )
