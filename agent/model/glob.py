"""Globs with the rules of CodePipeline (codepipeline.md 2.10), translated to `re`. Pure and light: the hooks import this.

`*` any run inside a segment, `**` across segments, `**/` also no directory at all, `?` one character but `/`, `[abc]`,
`[a-z]`, `[!x]`, `{a,b}` alternatives (not nested), `\\` takes the next character as it stands. A pattern matches whole names.

Whoever may push writes both the patterns and the names, so matching must not blow up: alternatives are multiplied out, and
what stands between two `**` is matched once, at its first place (an atomic group). A later place can never do better, as the
`**` after it takes whatever lies between the two. So the cost grows with the square of the name's length at worst, never with
a power of the number of stars.
"""

import re
from functools import lru_cache
from itertools import chain, product

MAX_LENGTH = 255  # characters of a pattern (codepipeline.md 1.2)
MAX_ALTERNATIVES = 200  # patterns that the `{a,b}` of one pattern multiply out to

_STAR, _ACROSS, _DIRECTORIES, _SLASH = (
    "*",
    "**",
    "**/",
    "/",
)  # tokens; every other token is a regular expression for one character
_GAPS = {_ACROSS: ".*?", _DIRECTORIES: "(?:.*?/)??"}

Tokens = tuple[str, ...]


class GlobError(ValueError):
    """The pattern is not a glob; the message says what is wrong with it."""


def problem(pattern: str) -> str | None:
    """What is wrong with a pattern, in words, or None. Also told: a pattern that could never match a path or a ref name."""
    if pattern.startswith("/"):
        return "it starts with '/', but names are matched without a leading '/'"
    try:
        compiled(pattern)
    except GlobError as error:
        return str(error)
    return None


def matches(pattern: str, name: str) -> bool:
    """Whether the pattern matches the whole name; raises GlobError for what `problem` refuses as malformed."""
    return compiled(pattern).fullmatch(name) is not None


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern, for `fullmatch`. Raises GlobError."""
    if not pattern:
        raise GlobError("it is empty")
    if len(pattern) > MAX_LENGTH:
        raise GlobError(f"it has {len(pattern)} characters, at most {MAX_LENGTH} are allowed")
    expressions = dict.fromkeys(_expression(tokens) for tokens in _multiply(_parse(pattern)))
    return re.compile("|".join(expressions), re.DOTALL)


def _parse(pattern: str) -> list[list[Tokens]]:
    """The pattern as a sequence of choices; a choice is a list of alternatives, most often of one."""
    choices: list[list[Tokens]] = []
    group: list[list[str]] | None = None
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "{":
            if group is not None:
                raise GlobError("'{' stands inside '{…}': groups cannot be nested")
            group = [[]]
            at += 1
        elif char == "}" and group is not None:
            choices.append([tuple(tokens) for tokens in group])
            group = None
            at += 1
        elif char == "," and group is not None:
            group.append([])
            at += 1
        else:
            token, at = _token(pattern, at)
            if group is None:
                choices.append([(token,)])
            else:
                group[-1].append(token)
    if group is not None:
        raise GlobError("'{' is not closed by '}'")
    return choices


def _token(pattern: str, at: int) -> tuple[str, int]:
    """The token at a place, and the place after it."""
    char = pattern[at]
    if char == "[":
        return _bracket(pattern, at + 1)
    if char == "*":
        return (_ACROSS, at + 2) if pattern.startswith("**", at) else (_STAR, at + 1)
    if char == "?":
        return "[^/]", at + 1
    if char == "\\":
        if at + 1 == len(pattern):
            raise GlobError("it ends with '\\', which takes the next character as it stands")
        at, char = at + 1, pattern[at + 1]
    return _SLASH if char == "/" else re.escape(char), at + 1


def _bracket(pattern: str, at: int) -> tuple[str, int]:
    end = pattern.find("]", at)
    if end < 0:
        raise GlobError("'[' is not closed by ']'")
    body = pattern[at:end]
    negated = body.startswith("!")
    members = body[1:] if negated else body
    if not members:
        raise GlobError(f"'[{body}]' is empty")
    if "/" in members:
        raise GlobError(f"'[{body}]' contains '/', which only '/' and '**' match")
    return f"(?!/)[{'^' if negated else ''}{_members(members, body)}]", end + 1


def _members(members: str, body: str) -> str:
    """The inside of a regular expression's set. `-` first or last is itself, as are `*`, `?` and a backslash."""
    parts = []
    at = 0
    while at < len(members):
        first = members[at]
        if members[at + 1 : at + 2] == "-" and at + 2 < len(members):
            last = members[at + 2]
            if last < first:
                raise GlobError(f"'[{body}]' has the range {first}-{last}, which runs backwards")
            parts.append(f"{re.escape(first)}-{re.escape(last)}")
            at += 3
        else:
            parts.append(re.escape(first))
            at += 1
    return "".join(parts)


def _multiply(choices: list[list[Tokens]]) -> list[Tokens]:
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MAX_ALTERNATIVES:
        raise GlobError(f"its groups make {count} combinations, at most {MAX_ALTERNATIVES} are allowed")
    return [_simplify(tuple(chain.from_iterable(parts))) for parts in product(*choices)]


def _simplify(tokens: Tokens) -> Tokens:
    """Runs of wildcards become one; a `**` that is a whole segment and is followed by another becomes `**/`."""
    result: list[str] = []
    for token in tokens:
        before = result[-1] if result else _SLASH
        if token == _SLASH and before == _ACROSS and (len(result) == 1 or result[-2] in {_SLASH, _DIRECTORIES}):
            result[-1] = _DIRECTORIES
            if result[-2:-1] == [_DIRECTORIES]:
                result.pop()
        elif token == _ACROSS and before == _STAR:
            result[-1] = _ACROSS
        elif token not in {_STAR, _ACROSS} or before not in {token, _ACROSS}:
            result.append(token)
    return tuple(result)


def _expression(tokens: Tokens) -> str:
    """Blocks with a gap (`**`, `**/`) before each but the first; all but the last are atomic."""
    blocks: list[tuple[str, list[str]]] = [("", [])]
    for token in tokens:
        if token in _GAPS:
            blocks.append((_GAPS[token], []))
        else:
            blocks[-1][1].append(token)
    *earlier, (gap, last) = blocks
    return "".join(f"(?>{before}{_block(block, False)})" for before, block in earlier) + gap + _block(last, True)


def _block(tokens: list[str], is_last: bool) -> str:
    """Pieces with a `*` before each but the first; atomic by the same reason, but for the one that must reach the end."""
    pieces = [""]
    for token in tokens:
        if token == _STAR:
            pieces.append("")
        else:
            pieces[-1] += token
    first, *rest = pieces
    stars = [f"(?>[^/]*?{piece})" for piece in rest]
    if is_last and rest:
        stars[-1] = f"[^/]*?{rest[-1]}"
    return first + "".join(stars)
