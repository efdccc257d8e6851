"""Work that goes on elsewhere: started once, followed to its end, ended when it must, found again after a crash."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Lock
from typing import ClassVar, Generic, TypeVar

from agent.actions.base import Attempt, Context, options_of
from agent.actions.memory import KeptLog, Memory, Output
from agent.definition.section import Section
from agent.errors import Unavailable
from agent.model.outcome import Outcome, Reason, Status

FIRST, FACTOR, LONGEST = 0.5, 1.5, 15.0  # seconds between looks
ASKED = 300.0  # seconds, at most, that we wait because a server asks for it
TRIES = 8  # of a call that finds nobody there, beside those of an SDK: about two minutes
SETTLE = 120.0  # seconds for what was cancelled to end
LOG, MEMORY = "remote.log", "remote"  # in the control directory

_WORKSPACES = Lock()
T = TypeVar("T")
O = TypeVar("O", bound=Section)  # noqa: E741


class Interrupted(Exception):
    """The work must end now, for this reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Work:
    """One attempt's work in one place elsewhere. For one thread; several works of an attempt share its log.

    `token` names it for ever: what is started with it can be found by it, or is started only once.
    """

    def __init__(self, attempt: Attempt, context: Context, log: KeptLog, place: str = "") -> None:
        self.attempt = attempt
        self.context = context
        self.place = place
        self._log = log
        suffix = f"-{hashlib.sha256(place.encode()).hexdigest()[:8]}" if place else ""
        self.token = f"{attempt.id}{suffix}"
        self.memory = Memory(context.control(attempt) / f"{MEMORY}{suffix}.json")
        self._said = self.memory.get("said")

    def once(self, key: str, make: Callable[[], str]) -> str:
        """What `make` gives, remembered; made again only by a crash before it could be remembered."""
        return self.memory.once(key, lambda: self.patiently(make))

    def say(self, text: str) -> None:
        """A line of the log; the same one is not said twice running, also not after a crash."""
        if text != self._said:
            self._log.say(f"{self.place}: {text}" if self.place else text)
            self._said = self.memory.put("said", text)

    def output(self, name: str) -> Callable[[str], None]:
        """Takes the lines of an output of this name, always from its first one on."""
        return self.stream(name).line

    def stream(self, name: str) -> Output:
        """The same for one that comes as bytes."""
        return self._log.output(f"{self.place}/{name}", self.place)

    def workspace(self) -> Path:
        """The attempt's view of the commit with its inputs."""
        with _WORKSPACES:
            return self.context.workspace(self.attempt)

    def is_due(self) -> bool:
        """Whether the work must end now; from any thread."""
        return self.context.stop.is_set() or self.context.now() >= self.attempt.deadline

    @property
    def due(self) -> Reason | None:
        """Why the work must end now, or None. What was once the reason stays it, also after a crash."""
        if asked := self.memory.get("asked"):
            return Reason(asked)
        if self.context.stop.is_set():
            return Reason(self.memory.put("asked", Reason.STOPPED))
        if self.context.now() >= self.attempt.deadline:
            return Reason(self.memory.put("asked", Reason.TIMEOUT))
        return None

    def check(self) -> None:
        """Raises Interrupted if the work must end now."""
        if reason := self.due:
            raise Interrupted(reason)

    def follow(
        self,
        start: Callable[[bool], str],
        look: Callable[[str], T | None],
        cancel: Callable[[str], object],
        name: str = "id",
        longest: float = LONGEST,
    ) -> T:
        """Start something, unless this attempt did so already, and look at it until that gives an answer.

        `start` is told whether an earlier call may have got through without our having heard of it, and gives the id that
        `look` and `cancel` get. Raises Interrupted, after it was cancelled and has ended, if the work must end.
        """
        identity = self.memory.get(name) or self._started(start, name)
        try:
            return self.wait(lambda: look(identity), longest)
        except Interrupted:
            self.say(f"cancelling {identity}")
            self.patiently(lambda: cancel(identity))
            self._settle(lambda: look(identity))
            raise

    def wait(self, look: Callable[[], T | None], longest: float = LONGEST) -> T:
        """Look, in the end every `longest` seconds, until that gives an answer.

        Raises Interrupted if the work must end; it is not cancelled then.
        """
        pause = FIRST
        while (found := self.patiently(look, ends=True)) is None:
            self.check()
            self._pause(pause)
            pause = min(pause * FACTOR, longest)
        return found

    def patiently(self, call: Callable[[], T], *, ends: bool = False) -> T:
        """A call that is made again where nobody answers, or where we are asked to wait.

        With `ends` it raises Interrupted in between if the work must end.
        """
        pause = FIRST
        for _ in range(TRIES):
            try:
                return call()
            except Unavailable as fault:
                self.context.log.notice(f"{fault.message}; trying again")
                asked = min(max(pause, fault.after), ASKED)
                if ends:
                    self._pause(asked)
                    self.check()
                else:
                    Event().wait(min(asked, 4 * LONGEST))
                pause = min(pause * 2, 4 * LONGEST)
        return call()

    def _started(self, start: Callable[[bool], str], name: str) -> str:
        intent = f"{name}, intended"
        may_run = bool(self.memory.get(intent))
        if not may_run:
            self.check()
            self.memory.put(intent, self.token)
        return self.memory.put(name, self.patiently(lambda: start(may_run)))

    def _settle(self, look: Callable[[], T | None]) -> None:
        spent, pause = 0.0, FIRST
        while spent < SETTLE and self.patiently(look) is None:
            Event().wait(pause)
            spent, pause = spent + pause, min(pause * FACTOR, LONGEST)

    def _pause(self, seconds: float) -> None:
        left = (self.attempt.deadline - self.context.now()).total_seconds()
        self.context.stop.wait(max(0.0, min(seconds, left)))


class RemoteAction(Generic[O]):
    """A Provider whose work goes on elsewhere: `act` does it, and may raise Interrupted."""

    Options: type[O]
    outputs: ClassVar[tuple[str, ...] | None] = None

    def perform(self, attempt: Attempt, context: Context) -> Outcome:
        """See Action."""
        options = options_of(attempt, self.Options)
        with KeptLog(context.control(attempt) / LOG, context.log) as log:
            work = Work(attempt, context, log)
            return ended(work, lambda: self.act(work, options))

    def act(self, work: Work, options: O) -> Outcome:
        """Do it, repeatably: what must be done once is remembered by `work`."""
        raise NotImplementedError


def ended(work: Work, act: Callable[[], Outcome]) -> Outcome:
    """The outcome, also of work that was interrupted."""
    try:
        return act()
    except Interrupted as interrupted:
        link = work.memory.get("link")
        if interrupted.reason is Reason.TIMEOUT:
            message = "took longer than its timeout allows and was ended"
            return Outcome(status=Status.FAILED, reason=Reason.TIMEOUT, message=message, link=link)
        return Outcome(status=Status.ABANDONED, reason=interrupted.reason, message="was stopped", link=link)


def succeeded(message: str, link: str = "", outputs: Mapping[str, str] | None = None) -> Outcome:
    """It did what it should."""
    return Outcome(status=Status.SUCCEEDED, message=message, link=link, outputs=dict(outputs or {}))


def failed(message: str, link: str = "", outputs: Mapping[str, str] | None = None, reason: Reason = Reason.EXIT) -> Outcome:
    """It ran, and did not do what it should."""
    return Outcome(status=Status.FAILED, reason=reason, message=message, link=link, outputs=dict(outputs or {}))
