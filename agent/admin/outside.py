"""Acts on what is told from outside: a change of a remote is mirrored, an event starts a pipeline; each exactly once."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from agent.admin.mirror import Mirror, Moved
from agent.config import Config
from agent.errors import AgentError, RefusedError, UsageError
from agent.git import history
from agent.git.command import Git, clean_environment
from agent.model.execution import TriggerType
from agent.model.ids import ExecutionId
from agent.plan import parameters
from agent.secrets.base import Secrets
from agent.settings import Remote, Source
from agent.sources import events, webhooks
from agent.sources.events import Happening
from agent.sources.webhooks import Change
from agent.state.database import Database
from agent.state.inbox import Inbox, Told
from agent.state.queue import Queue
from agent.worker.judge import entry_of


class Outside:
    """The ears of one repository. What it has begun and not finished is finished by whoever comes next."""

    def __init__(
        self,
        repository: Path,
        database: Database,
        config: Config,
        secrets: Secrets,
        environment: Mapping[str, str],
        clock: Callable[[], datetime],
        new_id: Callable[[], ExecutionId],
        wake: Callable[[], object],
    ) -> None:
        """`wake` sees that somebody works on what was queued."""
        self._repository = repository
        self._database = database
        self._config = config
        self._secrets = secrets
        self._environment = environment
        self._git = Git(repository, clean_environment(environment))
        self._inbox = Inbox(database)
        self._clock = clock
        self._new_id = new_id
        self._wake = wake

    def mirror(self, name: str, changes: tuple[Change, ...] = (), *, starts: bool = True) -> tuple[Moved, ...]:
        """Follow a remote. The first time only what is asked for starts anything. Raises UsageError, EnvironmentFault."""
        mirror = Mirror(self._repository, name, self.remote(name), self._secrets, self._environment)
        senders = {change.sender for change in changes if change.sender}
        actor = f"{' and '.join(sorted(senders))} at {name}" if senders else ""
        return mirror.follow(changes, actor=actor, starts=starts)

    def is_new(self, name: str) -> bool:
        """Whether nothing was ever brought from this remote."""
        return Mirror(self._repository, name, self.remote(name), self._secrets, self._environment).is_new

    def webhook(self, name: str, headers: Mapping[str, str], body: bytes) -> Iterator[str]:
        """Act on a message of a forge; says what was done. Raises RefusedError for a forgery and for a repetition."""
        remote = self.remote(name)
        if remote.forge not in {"github", "gitlab", "bitbucket"} or not remote.secret:
            raise UsageError(
                f"remote {name} takes no webhooks",
                hint=f"set `forge` and `secret` under [remotes.{name}] in pipeline/config.toml",
            )
        found = webhooks.read(remote.forge, headers, body, self._secrets.get(remote.secret))
        told = self._told(name, found.id, found.changes)
        if not self._inbox.take(told):
            raise RefusedError(f"{found.id} was received before", hint="each delivery is acted on once")
        yield from self._act(told)

    def happened(self, happening: Happening) -> Iterator[str]:
        """Act on what a queue tells; says what was done. Again for the same: nothing."""
        if happening.kind == "codecommit":
            yield from self._changed(happening)
        for number, source in enumerate(self._config.sources):
            if _means(source, happening):
                yield from self._start(source, happening, number)

    def catch_up(self) -> Iterator[str]:
        """Finish what was taken in and cut short."""
        for told in self._inbox.open():
            try:
                yield from self._act(told)
            except AgentError as error:
                yield f"{told.remote}: {error}"

    def remote(self, name: str) -> Remote:
        """A remote of the configuration. Raises UsageError."""
        if name not in self._config.remotes:
            known = ", ".join(sorted(self._config.remotes)) or "none"
            raise UsageError(f"there is no remote {name}: the configuration has {known}", hint=f"add [remotes.{name}]")
        return self._config.remotes[name]

    def _told(self, remote: str, identity: str, changes: tuple[Change, ...]) -> Told:
        return Told(remote, identity, self._clock().isoformat(), msgspec.json.encode(changes).decode())

    def _act(self, told: Told) -> Iterator[str]:
        """Once the refs have moved a repetition finds nothing to do, so to be cut short before `done` is no harm."""
        changes = tuple(Change(*change) for change in msgspec.json.decode(told.body))
        moved = self.mirror(told.remote, changes) if changes and told.remote in self._config.remotes else ()
        self._inbox.done(told)
        yield from map(said, moved)

    def _changed(self, happening: Happening) -> Iterator[str]:
        change = Change(happening.values["ref"], happening.values["commit"], happening.values["sender"])
        for name, remote in self._config.remotes.items():
            if remote.forge == "codecommit" and remote.repository == happening.subject:
                told = self._told(name, happening.id, (change,))
                if self._inbox.take(told):
                    yield from self._act(told)

    def _start(self, source: Source, happening: Happening, number: int) -> Iterator[str]:
        ref = f"refs/heads/{source.branch}"
        commit = history.resolve(self._git, ref)
        entry = entry_of(self._git, self._database, commit, source.pipeline) if commit else None
        if commit is None or entry is None:
            yield f"{source.pipeline} is not started: {source.branch} has no such pipeline"
            return
        given = [(name, events.filled(template, happening)) for name, template in source.variables.items()]
        try:
            variables = parameters.check(entry, given)
        except UsageError as error:
            yield f"{source.pipeline} is not started: {error}"
            return
        fields = {
            "id": self._new_id(),
            "pipeline": source.pipeline,
            "commit": commit,
            "ref": ref,
            "trigger": TriggerType.EVENT,
            "created_at": self._clock().isoformat(),
            "actor": f"{happening.kind} {happening.subject}",
            "variables": variables,
        }
        once = f"event:{happening.id}:{number}:{source.pipeline}:{source.branch}"
        queued, count = Queue(self._database).enqueue(fields, once=once)
        self._wake()
        if queued == fields["id"]:
            yield f"{source.pipeline} #{count} queued by {happening.kind} {happening.subject}"


def said(moved: Moved) -> str:
    """What became of a ref."""
    return f"{moved.ref} refused: {moved.refused}" if moved.refused else f"{moved.ref} follows to {moved.commit[:12]}"


def _means(source: Source, happening: Happening) -> bool:
    if source.kind != happening.kind or not events.fits(getattr(source, source.kind), happening.subject):
        return False
    values = happening.values
    return source.kind != "event" or (
        events.fits(source.detail_type, values["detail_type"]) and events.fits(source.resource, values["resource"])
    )
