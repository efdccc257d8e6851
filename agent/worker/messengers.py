"""The notifiers of one repository, as the configuration that is in force now names them; each made when first needed."""

from collections.abc import Callable, Mapping
from threading import Lock

from agent import plugins
from agent.aws.session import Sessions
from agent.notify.base import Means, NotDelivered, Notifier, Target, targets
from agent.worker.terms import Terms


class Messengers:
    """Safe from several threads. A change of the configuration holds for the next event and the next delivery."""

    def __init__(self, terms: Callable[[], Terms], sessions: Sessions, environment: Mapping[str, str]) -> None:
        self._terms = terms
        self._sessions = sessions
        self._environment = environment
        self._lock = Lock()
        self._seen: Terms | None = None
        self._targets: tuple[Target, ...] = ()
        self._made: dict[str, Notifier] = {}

    @property
    def targets(self) -> tuple[Target, ...]:
        """Who is to be told something."""
        terms = self._terms()
        with self._lock:
            self._look(terms)
            return self._targets

    def of(self, key: str) -> Notifier:
        """The notifier of a target. Raises NotDelivered if the configuration does not name it any more."""
        terms = self._terms()
        with self._lock:
            self._look(terms)
            target = next((target for target in self._targets if target.key == key), None)
            if target is None:
                raise NotDelivered("the configuration does not name it any more", refused=True)
            if key not in self._made:
                self._made[key] = plugins.load("notifiers", target.kind)(target.rule, self._means(terms))
            return self._made[key]

    def _look(self, terms: Terms) -> None:
        """Asked for before the lock is taken: whoever waits for it may hold that of the state."""
        if self._seen is None or terms.digest != self._seen.digest:
            self._seen, self._targets, self._made = terms, targets(terms.config), {}

    def _means(self, terms: Terms) -> Means:
        return Means(
            sessions=self._sessions,
            secret=terms.secrets.get,
            mail=terms.config.mail,
            link=terms.config.link,
            environment=self._environment,
        )
