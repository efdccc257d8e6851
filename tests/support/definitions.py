"""Cases of the definition: a YAML file is one pipeline, a directory a whole `.pipeline/`, its `root/` the commit around it."""

from pathlib import Path

from agent.definition.load import Loaded, load
from agent.definition.source import MemoryTree

CASES = Path(__file__).parent.parent / "cases" / "definition"


def cases(kind: str) -> list[Path]:
    return sorted(path for path in (CASES / kind).iterdir() if path.suffix == ".yaml" or path.is_dir())


def tree(case: Path) -> MemoryTree:
    if case.is_file():
        return MemoryTree({".pipeline/release.yaml": case.read_bytes()})
    files = (path for path in case.rglob("*") if path.is_file())
    return MemoryTree({_place(path.relative_to(case)): path.read_bytes() for path in files})


def _place(path: Path) -> str:
    return str(path.relative_to("root")) if path.parts[0] == "root" else f".pipeline/{path}"


def read(text: str | bytes) -> Loaded:
    """One pipeline file, `.pipeline/release.yaml`."""
    return load(MemoryTree({".pipeline/release.yaml": text.encode() if isinstance(text, str) else text}))


def codes(loaded: Loaded) -> list[str]:
    return [diagnostic.code for diagnostic in loaded.diagnostics]


if __name__ == "__main__":
    for case in cases("broken"):
        case.with_name(f"{case.name.removesuffix('.yaml')}.out").write_text(load(tree(case)).report + "\n")
