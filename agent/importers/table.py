"""The one table of importers: what each is called, and which files are its own."""

import re
from collections.abc import Callable

from agent.importers import codepipeline, github, gitlab, woodpecker
from agent.importers.draft import Draft

Convert = Callable[[str, bytes], Draft]
IMPORTERS: dict[str, Convert] = {
    "codepipeline": codepipeline.convert,
    "github": github.convert,
    "gitlab": gitlab.convert,
    "woodpecker": woodpecker.convert,
}
_OWN = {
    "github": re.compile(r"(^|/)\.github/workflows/[^/]+\.ya?ml$"),
    "gitlab": re.compile(r"(^|/)\.gitlab-ci\.ya?ml$"),
    "woodpecker": re.compile(r"(^|/)\.(woodpecker|drone)(\.ya?ml$|/[^/]+\.ya?ml$)"),
    "codepipeline": re.compile(r"\.json$"),
}


def kind_of(path: str) -> str:
    """Which importer a file is for, as its name tells; empty if it does not."""
    return next((kind for kind, pattern in _OWN.items() if pattern.search(path)), "")
