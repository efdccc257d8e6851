"""What an AWS CodeBuild buildspec says, key by key (codepipeline.md 3): the models that read it."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from agent.definition.section import Section
from agent.definition.values import Environment, EnvironmentName, Options, Text, Texts, found, problem

PHASES = ("install", "pre_build", "build", "post_build")
RETRIES = 3  # what RETRY means without a number

_FAILURE = re.compile(r"(ABORT|CONTINUE|RETRY)(?:-(\d{1,3}))?(?:-(.+))?", re.DOTALL)


def _switch(value: object) -> bool:
    """`yes` and `no` of CodeBuild's pages, or true and false."""
    if isinstance(value, bool):
        return value
    known = {"yes": True, "true": True, "no": False, "false": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise problem("GP103", f"expected yes or no, found {found(value)}")


class OnFailure(NamedTuple):
    """What follows a failed phase: `kind` is abort, continue or retry; `pattern` is one that the error must match."""

    kind: str
    attempts: int = 0
    pattern: str = ""


def _on_failure(value: object) -> object:
    match = _FAILURE.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match[1] != "RETRY" and (match[2] or match[3])):
        raise problem("GP104", f"{found(value)} is none of ABORT, CONTINUE, RETRY", "further attempts look like RETRY-2")
    return OnFailure(match[1].lower(), int(match[2] or RETRIES) if match[1] == "RETRY" else 0, match[3] or "")


def _commands(value: object) -> object:
    """A command that YAML took for a mapping is the mistake that everybody makes once."""
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        hint = "a command with ': ' in it is written in quotes, or below `- |`"
        raise problem("GP103", "expected commands, found a mapping among them", hint)
    return (value,) if isinstance(value, str) else value


Switch = Annotated[bool, BeforeValidator(_switch)]
Commands = Annotated[tuple[Text, ...], BeforeValidator(_commands)]
Failing = Annotated[OnFailure, BeforeValidator(_on_failure)]


class Phase(Section):
    """Commands, and what follows when one of them fails."""

    run_as: Text = Field(default="", alias="run-as")
    on_failure: Failing | None = Field(default=None, alias="on-failure")
    runtime_versions: Options = Field(default={}, alias="runtime-versions")
    commands: Commands = ()
    finally_: Commands = Field(default=(), alias="finally")


class Phases(Section):
    """The four phases, each of which may be left out."""

    install: Phase = Phase()
    pre_build: Phase = Phase()
    build: Phase = Phase()
    post_build: Phase = Phase()

    def of(self, name: str) -> Phase:
        """One of PHASES."""
        phase: Phase = getattr(self, name)
        return phase


class BuildEnvironment(Section):
    """Variables, and which of them later actions may read."""

    shell: Literal["sh", "/bin/sh", "bash", "/bin/bash"] | None = None
    variables: Environment = {}
    parameter_store: dict[EnvironmentName, Text] = Field(default={}, alias="parameter-store")
    secrets_manager: dict[EnvironmentName, Text] = Field(default={}, alias="secrets-manager")
    exported_variables: tuple[EnvironmentName, ...] = Field(default=(), alias="exported-variables")
    git_credential_helper: Switch = Field(default=False, alias="git-credential-helper")


class BuildReport(Section):
    """Test reports of one group."""

    files: Annotated[Texts, Field(min_length=1)]
    base_directory: Text = Field(default="", alias="base-directory")
    discard_paths: Switch = Field(default=False, alias="discard-paths")
    file_format: Text = Field(default="JUNITXML", alias="file-format")


class SecondaryArtifact(Section):
    """One of several artifacts, under its identifier."""

    files: Annotated[Texts, Field(min_length=1)]
    name: Text = ""
    discard_paths: Switch = Field(default=False, alias="discard-paths")
    base_directory: Text = Field(default="", alias="base-directory")
    exclude_paths: Texts = Field(default=(), alias="exclude-paths")
    enable_symlinks: Switch = Field(default=False, alias="enable-symlinks")
    s3_prefix: Text = Field(default="", alias="s3-prefix")


class BuildArtifacts(SecondaryArtifact):
    """The primary artifact, and secondary ones that take its place where there are several."""

    files: Texts = ()
    secondary: dict[Text, SecondaryArtifact] = Field(default={}, alias="secondary-artifacts")


class BuildCache(Section):
    """Directories kept between builds."""

    paths: Annotated[Texts, Field(min_length=1)]
    key: Text = ""
    fallback_keys: Texts = Field(default=(), alias="fallback-keys")
    action: Literal["restore", "save"] | None = None


class Buildspec(Section):
    """A buildspec file."""

    version: Literal["0.1", "0.2"]
    run_as: Text = Field(default="", alias="run-as")
    env: BuildEnvironment = BuildEnvironment()
    proxy: Options = {}
    batch: Options = {}
    phases: Phases
    reports: dict[Text, BuildReport] = {}
    artifacts: BuildArtifacts = BuildArtifacts()
    cache: BuildCache | None = None
