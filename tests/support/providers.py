"""docs/actions.md as data: its tables, made of the options of the providers, and its examples.

`python -m tests.support.providers` writes the tables anew.
"""

import re

from agent import plugins
from agent.actions.aws.place import AwsOptions
from tests.support import reference
from tests.support.reference import Example

PAGE = reference.PAGE.with_name("actions.md")
MARK = re.compile(r"(<!-- (provider|rule): ([\w-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def examples() -> list[Example]:
    """The pipelines of the page."""
    return reference.examples(PAGE)


def names() -> set[tuple[str, str]]:
    """Every provider that is built in, by the word of its mark."""
    actions = {("provider", name) for name in plugins.BUILTIN["actions"] if name not in plugins.KINDS}
    return actions | {("rule", name) for name in plugins.BUILTIN["rules"]}


def written() -> str:
    """The page with its tables as they are to be."""
    return MARK.sub(lambda found: found[1] + _table(found[2], found[3]) + found[5], PAGE.read_text())


def _table(group: str, name: str) -> str:
    if name == "common":
        return reference.table(AwsOptions)
    options = plugins.load("actions" if group == "provider" else "rules", name).Options
    return reference.table(options, without=AwsOptions.model_fields if issubclass(options, AwsOptions) else ())


if __name__ == "__main__":
    PAGE.write_text(written())
