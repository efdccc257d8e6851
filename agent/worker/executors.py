"""The executors of one repository, each made when first asked for: no container, no Docker SDK."""

from collections.abc import Callable, Mapping
from threading import Lock

from agent.errors import RefusedError
from agent.executors.base import Executor


class Executors:
    """Executors by name."""

    def __init__(self, makers: Mapping[str, Callable[[], Executor]]) -> None:
        self._makers = makers
        self._made: dict[str, Executor] = {}
        self._lock = Lock()

    def get(self, name: str) -> Executor:
        """The executor of this name. Raises RefusedError if there is none."""
        with self._lock:
            if name not in self._made:
                if name not in self._makers:
                    raise RefusedError(f"there is no runner {name}", hint=f"there are {', '.join(sorted(self._makers))}")
                self._made[name] = self._makers[name]()
            return self._made[name]

    def all(self) -> tuple[Executor, ...]:
        """Every one, made if need be: for recovery, which must look everywhere."""
        return tuple(self.get(name) for name in self._makers)
