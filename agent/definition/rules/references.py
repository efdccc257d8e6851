"""References, wherever they stand (GP301 to GP306, GP308), and the namespaces they name (GP307, GP309)."""

from collections.abc import Iterator

from agent.definition.diagnostics import Diagnostic
from agent.definition.lookup import Complaint, Lookup
from agent.definition.nodes import Items, Node, Scalar, Table
from agent.definition.reading import Loc, Reading
from agent.definition.references import OPENING, RESERVED, Fragment, Reference, foreign, malformed, references
from agent.definition.scope import Kind, Scope, scope_of

_GIVEN = {"commit": "PIPELINE_COMMIT", "branch": "PIPELINE_BRANCH", "tag": "PIPELINE_TAG"}
_CODEPIPELINE = {
    "codepipeline": "${{ execution.id }}",
    "variables": "${{ variables.%s }}",
    "SourceVariables": "${{ source.commit }}, ${{ source.branch }}, …",
}


def lookups(reading: Reading) -> Iterator[Diagnostic]:
    """GP301 to GP309: every reference can be looked up, where it stands and when it is needed."""
    lookup = Lookup(reading)
    for loc, scalar, is_key in _marked(reading.root):
        scope = scope_of(loc, is_key)
        if scope.kind is Kind.SCRIPT:
            yield from _in_script(reading, scalar)
        else:
            yield from _in_text(reading, lookup, scope, scalar)


def namespaces(reading: Reading) -> Iterator[Diagnostic]:
    """GP307: a namespace of outputs is nobody else's."""
    first: dict[str, str] = {}
    for placed in reading.actions:
        action = placed.action
        if not action.outputs and action.namespace is None:
            continue
        name, key = action.namespace or action.name, "namespace" if action.namespace else "name"
        if name in RESERVED:
            message = f"'{name}' is a namespace of ours, so the outputs of this action need another"
            yield reading.at("GP307", (*placed.loc, key), message, "write `namespace: <name>`")
        elif name in first:
            message = f"the outputs of {first[name]} are already looked up as '{name}'"
            yield reading.at("GP307", (*placed.loc, key), message, "write `namespace: <name>`")
        first.setdefault(name, f"action '{action.name}' of stage '{placed.stage.name}'")


def _in_script(reading: Reading, scalar: Scalar) -> Iterator[Diagnostic]:
    """GP305: what a script needs comes by its environment, where no shell reads it as a command."""
    seen: dict[str, int] = {}
    pieces: list[Reference | Fragment] = [*references(scalar.text), *malformed(scalar.text)]
    for piece in pieces:
        fragment = scalar.text[piece.start : piece.end]
        nth = seen[fragment] = seen.get(fragment, -1) + 1
        message = "`${{ }}` is not looked up in a script, as its value could be read as a command"
        yield reading.within("GP305", scalar, fragment, nth, message, _environment_hint(piece))
    for piece in foreign(scalar.text):
        if piece.text[2:].split(".")[0] in _CODEPIPELINE:
            yield reading.within("GP306", scalar, piece.text, 0, *_foreign(piece.text, " in `env`"))


def _environment_hint(piece: Reference | Fragment) -> str:
    if not isinstance(piece, Reference):
        return 'write env: {NAME: "${{ namespace.key }}"}, and "$NAME" in the script'
    if piece.namespace == "source" and piece.key in _GIVEN:
        return f'a script has it as "${_GIVEN[piece.key]}"'
    if piece.namespace == "secrets":
        return f'write secrets: [{piece.key}], and "${piece.key}" in the script'
    name = "".join(letter if letter.isalnum() else "_" for letter in piece.key).upper()
    name = f"_{name}" if name[0].isdigit() else name
    return f'write env: {{{name}: "${{{{ {piece.namespace}.{piece.key} }}}}"}}, and "${name}" in the script'


def _in_text(reading: Reading, lookup: Lookup, scope: Scope, scalar: Scalar) -> Iterator[Diagnostic]:
    seen: dict[str, int] = {}
    for reference in references(scalar.text):
        fragment = scalar.text[reference.start : reference.end]
        nth = seen[fragment] = seen.get(fragment, -1) + 1
        complaint = _nowhere(scope) or lookup.complaint(reference, scope)
        if complaint:
            yield reading.within(complaint.code, scalar, fragment, nth, complaint.message, complaint.hint)
    for piece in malformed(scalar.text):
        yield reading.within("GP301", scalar, scalar.text[piece.start : piece.end], 0, *_malformed(piece.text))
    for piece in foreign(scalar.text):
        yield reading.within("GP306", scalar, piece.text, 0, *_foreign(piece.text, ""))


def _nowhere(scope: Scope) -> Complaint | None:
    if scope.kind is not Kind.NOWHERE:
        return None
    return Complaint("GP308", "nothing is looked up here: this is fixed when the push is accepted", "write the value itself")


def _malformed(text: str) -> tuple[str, str]:
    if "}}" not in text:
        return f"{text[:40]!r} is not closed by }}}}", "write ${{ namespace.key }}"
    if any(sign in text for sign in ("||", "&&", "==", "!=", "(", "[", "?")):
        return (
            f"{text!r} is not `namespace.key`: values are looked up, never computed",
            "compute in a script, and give it on as an output",
        )
    return f"{text!r} is not `namespace.key`", "such as ${{ variables.environment }} or ${{ source.commit }}"


def _foreign(text: str, where: str) -> tuple[str, str]:
    namespace, key = text[2:-1].split(".", 1)
    written = _CODEPIPELINE.get(namespace, f"${{{{ {namespace}.{key} }}}}")
    return f"{text!r} is how CodePipeline writes it", f"write {written % key if '%s' in written else written}{where}"


def _marked(node: Node) -> list[tuple[Loc, Scalar, bool]]:
    """Every text with `${{` or `#{` in it: where, and whether it is a key."""
    if isinstance(node, Scalar):
        return [((), node, False)] if OPENING in node.text or "#{" in node.text else []
    found: list[tuple[Loc, Scalar, bool]] = []
    if isinstance(node, Items):
        for index, item in enumerate(node.items):
            found += [((index, *loc), scalar, is_key) for loc, scalar, is_key in _marked(item)]
    elif isinstance(node, Table):
        for key, value in node.entries:
            if OPENING in key.text or "#{" in key.text:
                found.append(((key.text,), key, True))
            found += [((key.text, *loc), scalar, is_key) for loc, scalar, is_key in _marked(value)]
    return found
