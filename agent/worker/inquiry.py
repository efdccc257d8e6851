"""What programs must tell of the control tags of a push - git, ssh-keygen, gpgv - asked ahead: they run beside us while what
judges their answers is still being loaded, which takes longer than they do. Nothing is judged here.

Whoever judges asks the same again, and gets the answer that is on its way, or, where none is, one that was asked for then.
"""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing, suppress

from agent.errors import AgentError
from agent.git import authors, signatures, tags
from agent.git.authors import Hands
from agent.git.command import Child, Git
from agent.git.signatures import Check, Keys, Signer
from agent.git.tags import Tag
from agent.model.push import RefUpdate
from agent.state.database import Database
from agent.state.passes import Passes
from agent.state.queue import Queue
from agent.trust.names import TagName, is_control, parse
from agent.trust.people import Policy

MOST = 50  # control tags that are judged in one push
AHEAD = 4  # about which programs are asked at once
_NOT_AUTHOR = b'"not_author":true'  # in the JSON of a plan


class Inquiry:
    """About the control tags among these updates. `git` sees the objects of the push, `environment` is that of the programs
    that verify. To be closed.
    """

    def __init__(self, git: Git, updates: Iterable[RefUpdate], environment: Mapping[str, str]) -> None:
        self.tags: Mapping[str, tuple[str, bytes]] = {}  # type and content by id, as agent.git.tags.read returns them
        self._git = git
        self._environment = environment
        self._open = ExitStack()
        self._updates = [update for update in updates if is_control(update.ref) and not update.is_deletion]
        self._keys = Keys(())
        self._checks: dict[str, Check] = {}
        self._hands: dict[tuple[str, str], Child] = {}
        self._reading = None
        if len(self._updates) <= MOST:
            self._reading = self._open.enter_context(closing(tags.ask(git, [update.new for update in self._updates])))

    def close(self) -> None:
        """End what still runs."""
        self._open.close()

    def begin(self, database: Database, policy: Policy) -> None:
        """Read the tags, and ask ahead about the first. Raises EnvironmentFault if git fails."""
        self._keys = Keys(policy.people, policy.revoked_keys, policy.openpgp_keyring)
        if self._reading is None:
            return
        self.tags = tags.read(self._git, [update.new for update in self._updates], self._reading)
        for update in self._updates[:AHEAD]:
            with suppress(AgentError):  # whoever judges it meets the same, among all else that may be wrong
                tag = tags.parse(*self.tags[update.new])
                self._checks[update.new] = self._check(tag)
                self._look_for_hands(database, parse(update.ref))

    def signer(self, oid: str, tag: Tag) -> Signer:
        """Who signed a tag, as agent.git.signatures.verify says it."""
        return (self._checks.pop(oid, None) or self._check(tag)).signer()

    def hands(self, commit: str, since: str) -> Hands:
        """Who had a hand in what is to be approved, as agent.git.authors.hands says it."""
        return authors.hands(self._git, commit, since, self._hands.pop((commit, since), None))

    def _check(self, tag: Tag) -> Check:
        return self._open.enter_context(
            closing(signatures.begin(tag.payload, tag.signature, tag.kind, self._keys, self._environment))
        )

    def _look_for_hands(self, database: Database, name: TagName) -> None:
        """Where an approval may not be given by who wrote it: that is looked at when all of the plan is known."""
        row = Queue(database).by_number(name.pipeline, name.number) if name.verb == "approve" else None
        if row and _NOT_AUTHOR in (Queue(database).plan(row.id) or b""):
            passed = Passes(database).last(row.pipeline, name.stage, before=row.id)
            question = (row.commit, passed.commit if passed else "")
            if question not in self._hands:
                self._hands[question] = self._open.enter_context(closing(authors.ask(self._git, *question)))
