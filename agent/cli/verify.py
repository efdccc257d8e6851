"""`git pipeline verify`: whether the record holds, checked in any clone without a network."""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from agent.cli import console, progress
from agent.cli.remote import Clone as Executions
from agent.cli.remote import discover, fetch
from agent.cli.source import resolve
from agent.errors import RefusedError, UsageError
from agent.git.command import Git
from agent.git.reading import Reader
from agent.model.ids import PROVENANCE
from agent.results import provenance
from agent.results.findings import Finding
from agent.results.sign import PublicKey
from agent.results.verify import Clone, Line, first_key, verify

PIN = "pipeline.key"


class Trust(NamedTuple):
    """The keys to believe, and what there is to say of that."""

    keys: tuple[PublicKey, ...]
    words: str


@click.command(short_help="check signatures, chain, approvals and artifacts of the record")
@click.argument("words", metavar="[COMMIT|EXECUTION]", default="")
@click.option("--all", "everything", is_flag=True, help="every execution (as without an argument)")
@click.option("--key", "files", multiple=True, type=click.Path(path_type=Path), help="a file with the agent's public key")
@click.option("--artifact", "artifacts", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="an archive that must be one of the artifacts")  # fmt: skip
@click.option("--provenance", "named", metavar="NAME", help="print the envelopes of the artifact of this name, once all is well")
@click.option("--fetch", "fetching", is_flag=True, help="fetch notes and tags first; else nothing touches the network")
@click.option("--json", "as_json", is_flag=True, help="one finding a line")
def command(
    words: str, everything: bool, files: tuple[Path, ...], artifacts: tuple[Path, ...], named: str | None, fetching: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Check what git-pipeline has published; exit code 1 if anything is not as it was signed.

    The agent's key is taken from --key, from `git config pipeline.key`, or else from the record itself, which is said.
    """
    if words and everything:
        raise UsageError("--all and a commit or an execution exclude each other")
    git = discover(os.environ)
    if fetching:
        _fetch(git)
    executions = Executions(git)
    executions.require_notes()
    clone = Clone(Reader(git), dict(os.environ))
    lines = tuple(clone.lines())
    trust = _trust(git, lines, files)
    chosen = _chosen(executions, words, lines)
    found = verify(clone, lines, trust.keys, chosen, progress.meter())
    findings = [*found, *_given(artifacts, [line for line in lines if chosen(line)])]
    good = all(finding.good for finding in findings)
    if named and good:
        _print_provenance(clone, [line for line in lines if chosen(line)], named)
    else:
        _tell(findings, trust, as_json=as_json)
    return 0 if good else 1


def _fetch(git: Git) -> None:
    trouble = fetch(git, logs=True)
    if not trouble:
        code, _, said = git.call("fetch", "--quiet", "--tags")
        trouble = said.decode(errors="replace").strip() if code else ""
    if trouble:
        click.echo(f"git pipeline: {trouble}", err=True)


def _trust(git: Git, lines: Sequence[Line], files: Sequence[Path]) -> Trust:
    """Whom to believe. Raises UsageError for what is no key, RefusedError if nobody has signed anything."""
    pinned = git.call("config", "--get-all", PIN)[1].decode(errors="replace").splitlines()
    texts = [text for path in files for text in _read(path).splitlines() if text.strip()] or pinned
    if texts:
        keys = tuple(dict.fromkeys(PublicKey.parse(text) for text in texts))
        return Trust(keys, f"the agent's key is {_prints(keys)}, as {'--key' if files else PIN} says")
    key = first_key(lines)
    if key is None:
        raise RefusedError("nothing here is signed", hint="was this repository installed before there were keys?")
    return Trust(
        (key,),
        f"the agent's key is {key.fingerprint}, as the record itself says\n"
        "hint: ask the operator whether that is REPO.git/pipeline/key.pub, then pin it:\n"
        f"  git config {PIN} '{key.line}'",
    )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the key in {path}: {error}") from error


def _prints(keys: Sequence[PublicKey]) -> str:
    return " or ".join(key.fingerprint for key in keys)


def _chosen(executions: Executions, words: str, lines: Sequence[Line]) -> Callable[[Line], bool]:
    """The lines that somebody means: all without words. A line that cannot be read counts for its commit."""
    if not words:
        return lambda line: True
    noted = {line.commit for line in lines}
    commit = words if words in noted else executions.commit(words)
    if commit in noted:
        return lambda line: line.commit == commit
    found = resolve(executions, words)
    return lambda line: line.record is not None and line.record.id == found.id


def _given(files: Sequence[Path], lines: Sequence[Line]) -> Iterator[Finding]:
    """Whether files are artifacts of these executions."""
    known = {
        artifact.digest: f"{line.label} {stage.name}/{action.name} artifact {artifact.name}"
        for line in lines
        if line.record
        for stage, action, artifact in provenance.artifacts(line.record)
    }
    for path in files:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest in known:
            yield Finding(str(path), True, f"it is {known[digest]}")
        else:
            yield Finding(str(path), False, f"sha256:{digest} is no artifact of what was verified")


def _print_provenance(clone: Clone, lines: Sequence[Line], name: str) -> None:
    found = [
        one.envelope
        for line in lines
        if line.record
        for one in provenance.decode(provenance.of(clone.note(PROVENANCE, line.commit) or b"", line.record.id))
        if one.artifact == name
    ]
    if not found:
        raise RefusedError(f"no artifact called {name} has provenance here", hint="git pipeline verify lists those that have")
    for envelope in found:
        click.echo(msgspec.json.encode(envelope))


def _tell(findings: Sequence[Finding], trust: Trust, *, as_json: bool) -> None:
    if as_json:
        for finding in findings:
            click.echo(msgspec.json.encode(finding))
        return
    paint = console.Paint(console.colours(os.environ, sys.stdout))
    click.echo(trust.words)
    for finding in findings:
        mark = paint("ok ", "32") if finding.good else paint("BAD", "31")
        click.echo(f"{mark} {finding.place}: {_plain(finding.words)}", color=paint.on)
    wrong = sum(not finding.good for finding in findings)
    verdict = paint(f"{wrong} of {len(findings)} checks failed", "31") if wrong else paint("everything holds", "32")
    click.echo(verdict, color=paint.on)


def _plain(text: str) -> str:
    """What others wrote must not play tricks on a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
