"""Whether people really said what a record says they said: their signed tags, by the signers that were in force then."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.errors import AgentError, RefusedError
from agent.execution.approvals import missing
from agent.git import signatures, tags
from agent.git.reading import Reader
from agent.git.signatures import Keys
from agent.model.outcome import Reason, Status
from agent.results.findings import Finding
from agent.results.record import ActionRecord, AnswerRecord, ApprovalRecord, Record
from agent.trust import evidence
from agent.trust.control_tags import TRAILERS, Said
from agent.trust.evidence import Question, Signers
from agent.trust.names import parse

Find = Callable[[str, int], Signers]  # a list of signers by its digest; the number is the length of an object id


class Approvals:
    """Checks the approvals of records in a clone."""

    def __init__(self, reader: Reader, find: Find, environment: Mapping[str, str]) -> None:
        self._reader = reader
        self._find = find
        self._environment = environment

    def check(self, one: Record) -> Iterator[Finding]:
        """A finding for each answer, and one for each approval that ended by them."""
        for stage in one.stages:
            for action in stage.actions:
                if action.approval:
                    question = Question(one.id, one.commit, one.pipeline, one.number, stage.name, action.name)
                    yield from self._approval(f"{one.label} {stage.name}/{action.name}", action, action.approval, question)

    def _approval(self, place: str, action: ActionRecord, approval: ApprovalRecord, question: Question) -> Iterator[Finding]:
        good: list[AnswerRecord] = []
        for answer in approval.answers:
            verb = "approved" if answer.approved else "rejected"
            try:
                self._answer(answer, question)
            except (AgentError, ValueError) as error:
                words = error.message if isinstance(error, AgentError) else str(error)
                yield Finding(place, False, f"{answer.person} {verb} it, says the record, but {words}")
                continue
            good.append(answer)
            yield Finding(place, True, f"{verb} by {answer.person}: tag {answer.tag[:12]}, key {answer.fingerprint}")
        yield from self._quorum(place, action, approval, good, len(question.commit))

    def _quorum(
        self, place: str, action: ActionRecord, approval: ApprovalRecord, good: list[AnswerRecord], width: int
    ) -> Iterator[Finding]:
        if action.status is Status.SUCCEEDED:
            people = [answer.person for answer in good if answer.approved]
            rejected = next((answer.person for answer in good if not answer.approved), "")
            try:
                lacking = self._lacking(approval, good, people, width)
            except (RefusedError, ValueError) as error:
                lacking = str(error)
            if rejected or lacking:
                why = f"{rejected} rejected it" if rejected else lacking
                yield Finding(place, False, f"it passed, but {why}")
            else:
                yield Finding(place, True, f"enough of those asked agreed: {', '.join(people)}")
        elif action.reason is Reason.REJECTED and all(answer.approved for answer in good):
            yield Finding(place, False, "it failed as rejected, but nobody rejected it")

    def _lacking(self, approval: ApprovalRecord, good: list[AnswerRecord], people: list[str], width: int) -> str:
        """What these people's consent lacks, by the roles that they had when the last of them spoke."""
        return missing(approval.groups, people, self._find(good[-1].signers, width).roles) if good else "nobody agreed"

    def _answer(self, answer: AnswerRecord, question: Question) -> None:
        """Raises an AgentError unless the signed tag of an answer is here and says the same."""
        if not answer.tag:
            raise RefusedError("no signed tag says so")
        kind, raw = self._reader.objects([answer.tag]).get(answer.tag, ("", b""))
        if not kind:
            raise RefusedError(f"tag {answer.tag} is missing or damaged (git fetch --tags brings missing ones)")
        tag = tags.parse(kind, raw)
        comment, trailers = tags.trailers(tag.message, TRAILERS)
        said = Said(parse(f"refs/tags/{tag.name}"), tag.target, trailers)
        evidence.check_tag(said, tag.name, tag.target_type, question, approved=answer.approved)
        standing = self._reader.tip(f"refs/tags/{tag.name}")
        if standing not in {"", answer.tag}:
            raise RefusedError(f"{tag.name} is another tag here ({standing[:12]}) than the one that was accepted")
        signer = self._signer(tag, self._find(answer.signers, len(question.commit)), int(answer.at.timestamp()))
        if signer.person != answer.person:
            raise RefusedError(f"the tag was signed by {signer.person}")
        if signer.fingerprint != answer.fingerprint:
            raise RefusedError(f"the tag was signed with key {signer.fingerprint}")
        if comment != answer.comment:
            raise RefusedError(f"the tag gives another reason: {comment}")

    def _signer(self, tag: tags.Tag, signers: Signers, at: int) -> signatures.Signer:
        with ExitStack() as files:
            paths = [_file(content, files) for content in (signers.revoked, signers.keyring)]
            keys = Keys(signers.people, paths[0], paths[1], at)
            return signatures.verify(tag.payload, tag.signature, tag.kind, keys, self._environment)


def _file(content: bytes, files: ExitStack) -> str:
    """The path of a file with this content until the end; empty without any."""
    if not content:
        return ""
    directory = files.enter_context(TemporaryDirectory(prefix="git-pipeline-"))
    path = Path(directory, "keys")
    path.write_bytes(content)
    return str(path)
