"""The executors of one repository, each made when first asked for: no container, no Docker SDK."""

from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import NamedTuple

from agent.config import Config
from agent.errors import RefusedError
from agent.executors.base import Executor


class Maker(NamedTuple):
    """How an executor is made of a configuration: of which of its tables, and whether there is one at all."""

    make: Callable[[Config], Executor]
    tables: frozenset[str] = frozenset()
    needs: str = ""  # a table that must not be empty


class Executors:
    """Executors by name and configuration; configurations that say the same of an executor share it."""

    def __init__(self, makers: Mapping[str, Maker]) -> None:
        self._makers = makers
        self._made: dict[tuple[str, str], Executor] = {}
        self._lock = Lock()

    def get(self, name: str, config: Config) -> Executor:
        """The executor of this name for executions under this configuration. Raises RefusedError if there is none."""
        names = self._names(config)
        if name not in names:
            raise RefusedError(f"there is no runner {name}", hint=f"there are {', '.join(sorted(names))}")
        maker = self._makers[name]
        key = name, config.model_dump_json(include=set(maker.tables))
        with self._lock:
            if key not in self._made:
                self._made[key] = maker.make(config)
            return self._made[key]

    def all(self, configs: Iterable[Config]) -> tuple[Executor, ...]:
        """Every one, made if need be: for recovery, which must look everywhere."""
        found = (self.get(name, config) for config in configs for name in self._names(config))
        return tuple({id(executor): executor for executor in found}.values())

    def _names(self, config: Config) -> list[str]:
        return [name for name, maker in self._makers.items() if not maker.needs or getattr(config, maker.needs)]
