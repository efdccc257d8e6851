"""A script of another tool as ours: no `${{ }}` inside a script, so what it looked up comes in by the environment. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from agent.importers.draft import Fields

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_GITHUB = {
    "github.sha": "$PIPELINE_COMMIT",
    "github.ref_name": "${PIPELINE_BRANCH:-$PIPELINE_TAG}",
    "github.head_ref": "$PIPELINE_BRANCH",
    "github.run_number": "$PIPELINE_NUMBER",
    "github.run_id": "$PIPELINE_EXECUTION",
    "github.run_attempt": "$PIPELINE_ATTEMPT",
    "github.workflow": "$PIPELINE_NAME",
    "github.job": "$PIPELINE_ACTION",
    "github.workspace": "$PIPELINE_WORKSPACE",
}
_FILES = {"$GITHUB_OUTPUT": "$PIPELINE_OUTPUT", "${GITHUB_OUTPUT}": "$PIPELINE_OUTPUT"}
GITHUB_ENV = {"GITHUB_SHA": "PIPELINE_COMMIT", "GITHUB_REF_NAME": "PIPELINE_BRANCH", "GITHUB_WORKSPACE": "PIPELINE_WORKSPACE"}
GITLAB_ENV = {
    "CI_COMMIT_SHA": "PIPELINE_COMMIT", "CI_COMMIT_BRANCH": "PIPELINE_BRANCH", "CI_COMMIT_TAG": "PIPELINE_TAG",
    "CI_COMMIT_REF_NAME": "PIPELINE_BRANCH", "CI_PIPELINE_IID": "PIPELINE_NUMBER", "CI_JOB_NAME": "PIPELINE_ACTION",
    "CI_PROJECT_DIR": "PIPELINE_WORKSPACE",
}  # fmt: skip
WOODPECKER_ENV = {
    "CI_COMMIT_SHA": "PIPELINE_COMMIT", "CI_COMMIT_BRANCH": "PIPELINE_BRANCH", "CI_COMMIT_TAG": "PIPELINE_TAG",
    "CI_PIPELINE_NUMBER": "PIPELINE_NUMBER", "CI_WORKSPACE": "PIPELINE_WORKSPACE",
}  # fmt: skip


class Script(NamedTuple):
    """A script, with what it needs: environment, secrets by name, and what nobody could convert."""

    text: str
    env: dict[str, str]
    secrets: tuple[str, ...]
    unknown: tuple[str, ...]


def of_github(parts: Iterable[str]) -> Script:
    """The steps of a job as one script."""
    env: dict[str, str] = {}
    secrets: dict[str, None] = {}
    unknown: dict[str, None] = {}

    def found(match: re.Match[str]) -> str:
        said = match[1]
        if said in _GITHUB:
            return _GITHUB[said]
        space, _, key = said.partition(".")
        if not re.fullmatch(r"[A-Za-z0-9_-]+", key):
            unknown[said] = None
            return "$UNKNOWN"
        word = re.sub(r"[^A-Za-z0-9]", "_", key)
        if space == "matrix":
            env[f"MATRIX_{word.upper()}"] = f"${{{{ matrix.{key} }}}}"
            return f"$MATRIX_{word.upper()}"
        if space == "secrets":
            secrets[key] = None
        if space in {"secrets", "env", "vars"}:
            return f"${word}"
        unknown[said] = None
        return "$UNKNOWN"

    text = "\n".join(_EXPRESSION.sub(found, part.strip("\n")) for part in parts)
    for theirs, ours in _FILES.items():
        text = text.replace(theirs, ours)
    return Script(with_names(text, GITHUB_ENV), env, tuple(secrets), tuple(unknown))


def with_names(text: str, names: Mapping[str, str]) -> str:
    """The script with its tool's variables under the names that they have here."""
    for theirs, ours in names.items():
        text = re.sub(rf"\$(\{{?){theirs}\b", rf"$\g<1>{ours}", text)
    return text


def value_of_github(text: str, script: Script) -> str | None:
    """A value of an `env:` with expressions; None where it comes as a secret or cannot be had."""
    whole = _EXPRESSION.fullmatch(text.strip())
    if whole and whole[1].startswith("secrets."):
        return None
    matrix = _EXPRESSION.sub(lambda match: f"${{{{ {match[1]} }}}}" if match[1].startswith("matrix.") else "\0", text)
    return None if "\0" in matrix else matrix


def cases(fields: Fields, script: Script) -> None:
    """Say what of a script is left to a person."""
    for said in script.unknown:
        fields.remark(f"TODO: ${{{{ {said} }}}} has no counterpart; the script has $UNKNOWN in its place")
