"""What an action of the file does, as a value of the plan, with the defaults of the pipeline applied."""

from agent.definition import document
from agent.model import plan as model


def work_of(action: document.Action, defaults: document.Defaults) -> model.Work:
    """The work of an action. Exactly one of its kinds is given, and `use` is already expanded (rules of `definition`)."""
    if action.run is not None:
        return _run(action, action.run, defaults)
    if action.approval is not None:
        return _approval(action.approval)
    if action.deploy is not None:
        return model.Deploy(to=action.deploy.to, strategy=action.deploy.strategy, options=action.deploy.options)
    if action.uses is not None:
        return model.Use(provider=action.uses, options=dict(action.options))
    raise AssertionError(f"action {action.name} does nothing that a plan knows")


def runner_of(runner: str, hosts: str, defaults: document.Defaults) -> str:
    """Where a script runs: as it says, or on its hosts, or as the pipeline says, or in a container."""
    return runner or ("ssh" if hosts else defaults.runner or "docker")


def image_of(image: str, runner: str, defaults: document.Defaults) -> str:
    """The image of a script; hosts and the agent's machine have none, so they do not inherit one."""
    return image or ("" if runner in {"ssh", "local"} else defaults.image)


def _run(action: document.Action, script: str, defaults: document.Defaults) -> model.Run:
    runner = runner_of(action.runner, action.hosts, defaults)
    network = action.network if action.network is not None else defaults.network
    return model.Run(
        script=script,
        runner=runner,
        image=image_of(action.image, runner, defaults),
        hosts=action.hosts,
        shell=action.shell or defaults.shell or "sh",
        workdir=action.workdir or defaults.workdir,
        network=bool(network),
        user=action.user or defaults.user,
        services=tuple(_service(name, service) for name, service in action.services.items()),
        resources=_resources(action.resources, defaults.resources),
    )


def _service(name: str, service: document.Service) -> model.Service:
    return model.Service(
        name=name,
        image=service.image,
        env=dict(service.env),
        command=service.command,
        ready=service.ready,
        ready_timeout=service.ready_timeout,
    )


def _resources(own: document.Resources | None, default: document.Resources | None) -> model.Resources:
    """Each by itself: an action that asks for memory keeps the pipeline's processors."""
    layers = [layer for layer in (own, default) if layer is not None]
    return model.Resources(
        memory=next((layer.memory for layer in layers if layer.memory is not None), None),
        cpus=next((layer.cpus for layer in layers if layer.cpus is not None), None),
        pids=next((layer.pids for layer in layers if layer.pids is not None), None),
    )


def _approval(approval: document.Approval) -> model.Approval:
    groups = tuple(model.Group(any_of=group.by, count=group.count) for group in approval.groups)
    if approval.by or (approval.count > 1 and not groups):
        groups = (model.Group(any_of=approval.by or ("operator",), count=approval.count), *groups)
    return model.Approval(groups=groups, not_author=approval.not_author, message=approval.message, url=approval.url)
