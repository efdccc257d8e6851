"""msgspec without what no hook asks of it: only what judges control tags needs it, and every one of them waits for it."""

import os
import sys
from types import SimpleNamespace
from typing import Any

from agent.worker.judge import find_packages

# What it imports, and what stands in for that meanwhile: it costs as much as all the rest.
_STAND_INS: dict[str, Any] = {
    "typing_extensions": None,  # it goes without where that is not installed
    "platform": SimpleNamespace(system=lambda: os.uname().sysname),  # all that `uuid` wants to know
    "msgspec.inspect": SimpleNamespace(),  # of types, for schemas
    "msgspec._json_schema": SimpleNamespace(schema=None, schema_components=None),
}


def load_msgspec() -> None:
    """Import it if it is not there; the whole of it where it does not go without the rest."""
    if "msgspec" in sys.modules:
        return
    _find()
    try:
        _load_without(_STAND_INS)
    except (ImportError, AttributeError):  # another version of it
        for name in [name for name in sys.modules if name.partition(".")[0] == "msgspec"]:
            del sys.modules[name]
        __import__("msgspec")


def _load_without(stand_ins: dict[str, Any]) -> None:
    modules: dict[str, Any] = sys.modules
    spared = {name: stand_in for name, stand_in in stand_ins.items() if name not in modules}
    modules |= spared
    try:
        __import__("msgspec")
    finally:
        for name in spared:
            del modules[name]


def _find() -> None:
    """Mostly it lies beside the interpreter; `site` knows more places, but runs what other packages do at every start."""
    version = sys.version_info
    beside = f"{sys.executable.rpartition('/bin/')[0]}/lib/python{version.major}.{version.minor}/site-packages"
    if os.access(f"{beside}/msgspec/__init__.py", os.F_OK):
        sys.path.append(beside)
    else:
        find_packages()
