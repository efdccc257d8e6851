"""Whether a reference can be looked up where it stands, and what to say if not."""

from typing import NamedTuple

from agent.definition.document import Action
from agent.definition.provided import outputs_of
from agent.definition.reading import Placed, Reading
from agent.definition.references import EXECUTION_KEYS, SOURCE_KEYS, Reference
from agent.definition.scope import Kind, Scope
from agent.definition.suggest import did_you_mean

_FIXED = {"execution": EXECUTION_KEYS, "source": SOURCE_KEYS}
_OURS = ("variables", "execution", "source", "matrix")
_HABITS = {
    "secrets": "secrets are never texts of a pipeline: write `secrets: [NAME]`, and a script has it as $NAME",
    "env": "write the value itself, or a variable: ${{ variables.name }}",
    "github": "the commit is ${{ source.commit }}, the branch ${{ source.branch }}, the run ${{ execution.number }}",
    "inputs": "values that a start gives are ${{ variables.name }}; those of a reusable action ${{ parameters.name }}",
    "needs": "outputs of an action are ${{ action.key }}",
    "steps": "outputs of an action are ${{ action.key }}",
    "codepipeline": "the id of the execution is ${{ execution.id }}",
    "SourceVariables": "they are called source: ${{ source.commit }}, ${{ source.branch }}",
    "parameters": "only a file of .pipeline/actions/ has parameters",
}


class Complaint(NamedTuple):
    """What is wrong with a reference."""

    code: str
    message: str
    hint: str = ""


class Lookup:
    """The names that references of one pipeline may use."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._producers: dict[str, list[Placed]] = {}
        for placed in reading.actions:
            if _leaves_values(placed.action):
                self._producers.setdefault(placed.action.namespace or placed.action.name, []).append(placed)

    def complaint(self, reference: Reference, scope: Scope) -> Complaint | None:
        """What is wrong with a reference in a place, or None."""
        if scope.kind is Kind.MATRIX_ONLY and reference.namespace != "matrix":
            message = "only values of the matrix can be part of the name of an artifact"
            return Complaint("GP308", message, "write ${{ matrix.key }}, or a fixed name")
        if reference.namespace == "variables":
            return self._key(
                reference, tuple(self._reading.pipeline.variables), "the pipeline has no variable", "its variables are"
            )
        if reference.namespace in _FIXED:
            return self._key(reference, _FIXED[reference.namespace], f"'{reference.namespace}' has no", "it has")
        if reference.namespace == "matrix":
            return self._matrix(reference, scope)
        return self._output(reference, scope)

    def _key(self, reference: Reference, known: tuple[str, ...], what: str, otherwise: str) -> Complaint | None:
        if reference.key in known or self._is_lost(reference.key):
            return None
        hint = did_you_mean(reference.key, known, otherwise) or "declare it under `variables`"
        return Complaint("GP303", f"{what} '{reference.key}'", hint)

    def _matrix(self, reference: Reference, scope: Scope) -> Complaint | None:
        if "matrix" in self._reading.lost:
            return None
        if scope.spot is None:
            return Complaint("GP302", "there is no matrix here", "only the keys of an action with `matrix` know its values")
        legs = self._reading.legs_of(scope.spot)
        action = self._reading.pipeline.stages[scope.spot[0]].actions[scope.spot[1]]
        if action.matrix is None:
            return Complaint("GP302", f"action '{action.name}' has no matrix")
        having = [leg for leg in legs if reference.key in leg.values]
        if not having and legs:
            return self._key(
                reference, tuple(dict.fromkeys(key for leg in legs for key in leg.values)), "the matrix has no", "it has"
            )
        if len(having) < len(legs):
            without = next(leg.name for leg in legs if reference.key not in leg.values)
            return Complaint("GP303", f"not every combination of the matrix has '{reference.key}': '{without}' has not")
        return None

    def _output(self, reference: Reference, scope: Scope) -> Complaint | None:
        producers = self._producers.get(reference.namespace, [])
        if not producers:
            return self._unknown(reference)
        if len(producers) > 1:
            message = f"{len(producers)} actions have the namespace '{reference.namespace}'"
            return Complaint("GP307", message, "give one of them another: `namespace: <name>`")
        action = producers[0].action
        outputs = outputs_of(action)
        if outputs and reference.key.partition("@")[0] not in outputs:
            return self._key(reference, outputs, f"action '{action.name}' has no output", "its outputs are")
        if action.matrix is not None:
            message = (
                f"action '{action.name}' runs once for each combination of its matrix, so it has no single '{reference.key}'"
            )
            return Complaint("GP309", message, "give it on as an artifact")
        return self._certain(reference, producers[0], scope)

    def _certain(self, reference: Reference, producer: Placed, scope: Scope) -> Complaint | None:
        if scope.stage is None:
            doubt = "this holds for all actions, and so for some that run before it"
        else:
            doubt = self._reading.order.doubt(producer.spot, scope.stage, scope.action, scope.after_actions)
        message = f"'{reference.namespace}.{reference.key}' may not be known by then"
        return Complaint("GP304", message, doubt) if doubt else None

    def _unknown(self, reference: Reference) -> Complaint | None:
        name = reference.namespace
        if self._is_lost(name):
            return None
        without = next((placed.action.name for placed in self._reading.actions if placed.action.name == name), "")
        if without:
            message = f"action '{name}' declares no outputs"
            return Complaint("GP302", message, f"write `outputs: [{reference.key}]` there; its script writes to $PIPELINE_OUTPUT")
        known = [*_OURS, *self._producers]
        return Complaint("GP302", f"there is no namespace '{name}'", _HABITS.get(name) or did_you_mean(name, known))

    def _is_lost(self, name: str) -> bool:
        return name in self._reading.lost


def _leaves_values(action: Action) -> bool:
    return bool(action.outputs or action.uses or action.deploy or action.namespace)
