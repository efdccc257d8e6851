"""Verifies what git-pipeline has published, in any clone and without a network: nobody is believed but the agent's key.

Each finding is one check in words for a person. What a signature covers is checked over the very bytes; what a record says of
other notes (a log, the provenance) and of tags by digests, so that a finding can say where something was changed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from agent.errors import EnvironmentFault, RefusedError
from agent.git import commits
from agent.git.reading import Objects, Reader
from agent.model.ids import NOTES, PROVENANCE, SIGNERS, attempt_id
from agent.model.meter import Meter, unseen
from agent.results import chain, lognote, provenance, record
from agent.results.approvals import Approvals
from agent.results.chain import Placed
from agent.results.findings import Finding
from agent.results.record import Record
from agent.results.sign import GIT, PublicKey, bare, signer_of
from agent.trust import evidence
from agent.trust.evidence import Signers

PEOPLE, RECORD, LOG = NOTES
REFS = (*NOTES, SIGNERS, PROVENANCE)


class Line(NamedTuple):
    """A line of a record note: the commit that it is noted for, its bytes, and what it says if that can be read."""

    commit: str
    raw: bytes
    record: Record | None

    @property
    def label(self) -> str:
        """How people call the execution; a digest of the line if it does not say."""
        return self.record.label if self.record else f"a line of the note of {self.commit[:12]}"


class Clone:
    """What a clone has of the record. Everything is read when it is first asked for."""

    def __init__(self, reader: Reader, environment: Mapping[str, str]) -> None:
        self.reader = reader
        self.environment = environment
        self.tips = {ref: tip for ref in REFS if (tip := reader.tip(ref))}
        self.damaged: list[Finding] = []
        self._notes: dict[str, dict[str, str]] = {}
        self._read: dict[str, Objects] = {}

    def note(self, ref: str, commit: str) -> bytes | None:
        """A note; None if there is none, or none that is whole."""
        listed = self.listed(ref)
        blob = listed.get(commit, "")
        if not blob:
            return None
        if ref == LOG:  # the one ref whose notes are large
            return self.reader.objects([blob]).get(blob, ("", None))[1]
        if ref not in self._read:
            self._read[ref] = self.reader.objects(listed.values())
        return self._read[ref].get(blob, ("", None))[1]

    def listed(self, ref: str) -> dict[str, str]:
        """The notes of a ref by commit, each with its blob."""
        if ref not in self._notes:
            try:
                self._notes[ref] = dict(self.reader.notes(self.tips[ref])) if ref in self.tips else {}
            except EnvironmentFault as fault:
                self._notes[ref] = {}
                self.damaged.append(Finding(ref, False, f"its tree is damaged: {fault.message}"))
        return self._notes[ref]

    def lines(self) -> Iterator[Line]:
        """All lines of all record notes; what is damaged is found, and passed over."""
        listed = self.listed(RECORD)
        objects = self.reader.objects(listed.values())
        for commit, blob in listed.items():
            if blob not in objects:
                self.damaged.append(Finding(f"the note of {commit[:12]}", False, f"object {blob} is missing or damaged"))
                continue
            for raw in objects[blob][1].split(b"\n"):
                if raw:
                    found = record.decode(raw)
                    yield Line(commit, raw, found[0] if found else None)

    def signers(self, digest: str, width: int) -> Signers:
        """A list of signers by its digest. Raises RefusedError if it is not here, or not what the digest says."""
        content = self.note(SIGNERS, digest[:width]) if digest else None
        if content is None:
            raise RefusedError("the list of signers that it names is missing" if digest else "it names no list of signers")
        if evidence.digest(content) != digest:
            raise RefusedError("the list of signers that it names was changed")
        return evidence.decode(content)


def first_key(lines: Sequence[Line]) -> PublicKey | None:
    """The key that the oldest link claims to be signed by: what to trust if nobody told another."""
    for line in sorted(lines, key=lambda line: line.record.sequence or 1 << 62 if line.record else 1 << 63):
        if key := chain.key_of(line.raw):
            return key
    return None


def verify(
    clone: Clone, lines: Sequence[Line], keys: Sequence[PublicKey], chosen: Callable[[Line], bool], meter: Meter = unseen
) -> Iterator[Finding]:
    """All checks of the whole record, and those of the lines that are chosen."""
    for ref in REFS:
        yield from _history(clone, ref, keys, meter)
    yield from _chain(lines)
    asked = [line for line in lines if chosen(line)]
    for line in meter("Verifying executions", asked, len(asked)):
        yield from _line(clone, line, keys)
    yield from clone.damaged


def _history(clone: Clone, ref: str, keys: Sequence[PublicKey], meter: Meter) -> Iterator[Finding]:
    """Every commit of a notes ref is signed by the agent."""
    if ref not in clone.tips:
        return
    count, wrong = 0, []
    for oid, raw in meter(f"Verifying {ref}", clone.reader.history(clone.tips[ref])):
        count += 1
        if trouble := "it is missing or damaged" if raw is None else _commit(raw, keys):
            wrong.append(f"commit {oid[:12]}: {trouble}")
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        yield Finding(ref, False, wrong[0] + more)
    else:
        yield Finding(ref, True, f"{count} commit{'s' if count != 1 else ''}, each signed by the agent")


def _commit(raw: bytes, keys: Sequence[PublicKey]) -> str:
    payload, armour = commits.split(raw)
    if not armour:
        return "it is not signed"
    signature = bare(armour)
    key = next((key for key in keys if key == signer_of(signature)), keys[0] if keys else None)
    try:
        if key is None:
            raise RefusedError("nobody's key is known")
        key.check(payload, signature, GIT)
    except RefusedError as refusal:
        return refusal.message
    return ""


def _chain(lines: Sequence[Line]) -> Iterator[Finding]:
    links = [Placed(link, line.label) for line in lines for link in chain.links_of(line.raw)]
    troubles = list(chain.breaks(links))
    for trouble in troubles:
        yield Finding("chain", False, trouble)
    if not troubles:
        last = max((placed.link.sequence for placed in links), default=0)
        yield Finding(
            "chain",
            True,
            f"{last} end{'s' if last != 1 else ''} of executions, none missing or changed, up to the last that is here",
        )


def _line(clone: Clone, line: Line, keys: Sequence[PublicKey]) -> Iterator[Finding]:
    try:
        key = chain.check_line(line.raw, keys)
    except RefusedError as refusal:
        yield Finding(line.label, False, refusal.message)
        return
    one = line.record
    if one is None:
        yield Finding(line.label, False, "it cannot be read: a newer version of git-pipeline may have written it")
        return
    if one.commit != line.commit:
        yield Finding(one.label, False, f"it stands at {line.commit[:12]}, but speaks of {one.commit[:12]}")
    place = f", link {one.sequence} of the chain" if one.sequence else ", not ended yet"
    yield Finding(one.label, True, f"{one.status}: signed by {key.fingerprint}{place}{_who(one)}")
    if clone.note(PEOPLE, one.commit) is None:
        yield Finding(one.label, False, "its note for people is missing or damaged")
    yield from Approvals(clone.reader, clone.signers, clone.environment).check(one)
    yield from _logs(clone, one)
    yield from _provenance(clone, one, keys)


def _who(one: Record) -> str:
    return f"; for {one.actor}" if one.actor else ""


def _logs(clone: Clone, one: Record) -> Iterator[Finding]:
    """The logs that are here are those that the record speaks of."""
    if LOG not in clone.tips:
        return
    named = {
        attempt_id(one.id, stage.name, action.name, attempt.attempt): (f"{stage.name}/{action.name}", attempt.log.digest)
        for stage in one.stages
        for action in stage.actions
        for attempt in action.attempts
        if attempt.log and attempt.log.digest
    }
    if not named:
        return
    sections = {section.id: section.body for section in lognote.split(clone.note(LOG, one.commit) or b"")[0]}
    wrong = [place for name, (place, digest) in named.items() if evidence.digest(sections.get(name, b"")) != digest]
    for place in wrong:
        yield Finding(f"{one.label} {place}", False, "its log is missing or was changed")
    if not wrong:
        yield Finding(one.label, True, f"{len(named)} log{'s' if len(named) > 1 else ''} as the record says")


def _provenance(clone: Clone, one: Record, keys: Iterable[PublicKey]) -> Iterator[Finding]:
    if not one.provenance:
        return
    lines = provenance.of(clone.note(PROVENANCE, one.commit) or b"", one.id)
    whole = evidence.digest(lines) == one.provenance
    if not whole:
        yield Finding(f"{one.label} provenance", False, "it is missing or was changed" if lines else "it is missing")
    known = tuple(keys)
    try:
        found = {(each.stage, each.action, each.artifact): each for each in provenance.decode(lines)}
    except RefusedError as refusal:
        yield Finding(f"{one.label} provenance", False, refusal.message)
        return
    for stage, action, artifact in provenance.artifacts(one):
        where = f"{one.label} {stage.name}/{action.name} artifact {artifact.name}"
        given = found.get((stage.name, action.name, artifact.name))
        try:
            if given is None:
                raise RefusedError("it has no provenance")
            provenance.check(given, artifact, known)
        except RefusedError as refusal:
            yield Finding(where, False, refusal.message)
        else:
            if whole:
                yield Finding(where, True, f"sha256:{artifact.digest}, provenance signed")
