"""`image`: build an image on the agent's own engine, which the pushed code never gets hold of, and push it to a registry."""

import re
from collections.abc import Callable
from typing import Self

from pydantic import Field, model_validator

from agent.actions import buildcontext
from agent.actions.base import Attempt, Context, options_of
from agent.actions.remote import RemoteAction, Work, failed, succeeded
from agent.definition.section import Section
from agent.definition.values import Flag, Text, Texts, problem
from agent.executors.build import Builder, BuildFailed, Order
from agent.model.outcome import Outcome

_NAME = re.compile(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+:\w[\w.-]{0,127}", re.ASCII)


class ImageOptions(Section):
    """What is built, of the commit with the action's inputs in it, and where it is pushed to."""

    dockerfile: Text = Field(default="Dockerfile", description="The Dockerfile, a path inside of `context`.")
    context: Text = Field(
        default="", description="The directory that the build sees. Default: the commit, with the inputs in it."
    )
    target: Text = Field(default="", description="The stage of the Dockerfile to build. Default: the last.")
    args: dict[Text, Text] = Field(
        default={}, description="Build arguments. Who has the image can read them: no place for secrets."
    )
    labels: dict[Text, Text] = Field(default={}, description="Labels of the image.")
    platform: Text = Field(
        default="",
        description="The platform, such as `linux/arm64`. Default: the engine's own; `RUN` for another needs an emulator.",
    )
    network: Flag = Field(default=False, description="Whether the steps of the build get a network.")
    push: Texts = Field(
        default=(), description="The names to push it under, with host and tag; the operator opens them under `[registries]`."
    )

    @model_validator(mode="after")
    def _has_full_names(self) -> Self:
        for name in self.push:
            if "${{" not in name and not _NAME.fullmatch(name):
                raise problem("GP109", f"{name!r} is no full name of an image", "write it as `registry.example.com/shop/web:1.4`")
        return self


class ImageAction(RemoteAction[ImageOptions]):
    """A Provider. `image` is the id to run it by on this engine, `reference` is where others find it, by digest."""

    Options = ImageOptions
    outputs = ("image", "digest", "reference")

    def perform(self, attempt: Attempt, context: Context) -> Outcome:
        """See Action. Raises RefusedError, before anything is built, if the operator does not open it all to the attempt."""
        context.images(attempt, options_of(attempt, ImageOptions).network)
        return super().perform(attempt, context)

    def act(self, work: Work, options: ImageOptions) -> Outcome:
        """See RemoteAction. After a crash what the engine keeps of the build is taken up: the same content has the same id."""
        images = work.context.images(work.attempt, options.network)
        logins = {name: work.patiently(lambda name=name: _login(work, name)) for name in options.push}  # type: ignore[misc]
        image = work.memory.get("image")
        try:
            if not image or not images.has(image):
                image = work.memory.put("image", _built(work, options, images))
            work.say(f"built {image}")
            for name, login in logins.items():
                work.once(f"digest of {name}", lambda name=name, login=login: _pushed(work, images, image, name, login))  # type: ignore[misc]
        except BuildFailed as fault:
            return failed(fault.message)
        outputs = {"image": image, "digest": "", "reference": image}
        for name in options.push[:1]:
            digest = work.memory.get(f"digest of {name}")
            outputs |= {"digest": digest, "reference": f"{_repository(name)}@{digest}"}
        return succeeded(outputs["reference"], outputs=outputs)


def _built(work: Work, options: ImageOptions, images: Builder) -> str:
    work.check()
    directory = buildcontext.directory_of(work.workspace(), options.context)
    buildcontext.judge(directory, options.dockerfile, options.args, work.context)
    excludes = images.excludes(buildcontext.patterns(directory, options.dockerfile))
    archive = buildcontext.pack(directory, excludes, work.context.control(work.attempt) / "context.tar")
    order = Order(
        attempt=work.attempt.id,
        context=archive,
        dockerfile=options.dockerfile,
        target=options.target,
        args=dict(options.args),
        labels=dict(options.labels),
        platform=options.platform,
        network=options.network,
    )
    image = images.build(order, _lines(work, "build"), work.is_due)
    archive.unlink()
    work.check()
    return image


def _pushed(work: Work, images: Builder, image: str, name: str, login: dict[str, str]) -> str:
    work.check()
    digest = images.push(image, name, login, _lines(work, f"push of {name}"), work.is_due)
    work.check()
    work.say(f"pushed {name}: {digest}")
    return digest


def _lines(work: Work, name: str) -> Callable[[str], None]:
    """The log of one try: another one, after a crash, says other things."""
    tries = work.memory.put(f"tries of {name}", str(int(work.memory.get(f"tries of {name}") or 0) + 1))
    return work.output(f"{name} {tries}")


def _login(work: Work, name: str) -> dict[str, str]:
    return work.context.login(work.attempt, _repository(name))


def _repository(name: str) -> str:
    return name.rpartition(":")[0]
