"""References are looked up once, everywhere but in scripts; what cannot be looked up is told."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.execution import Execution, TriggerType
from agent.model.plan import Approval, ArtifactInput, ArtifactOutput, Cache, Deploy, Group, PlannedAction, Rule, Run, Service, Use
from agent.plan.variables import CommitFacts, Resolved, Unresolved, resolve, resolve_rule, scope

EXECUTION = Execution(
    id="0" * 26,
    pipeline="release",
    number=42,
    commit="c" * 40,
    previous="b" * 40,
    ref="refs/heads/main",
    trigger=TriggerType.PUSH,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)
FACTS = CommitFacts("Ada", "ada@example.com", "one\n\ntwo\n", branch="main")
SCOPE = scope(
    EXECUTION, FACTS, {"environment": "staging"}, {"package": {"version": "1.2", "notes": "a\nb\n"}}, attempt=2, url="u"
)


def action(work=None, **keys):
    return PlannedAction(name="a", work=work or Run(script="true"), **keys)


def env(text, values=SCOPE, **keys):
    result = resolve(action(env={"X": text}, **keys), values)
    return result.action.env["X"] if isinstance(result, Resolved) else result


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${{ variables.environment }}", "staging"),
        ("${{variables.environment}}", "staging"),
        ("v${{ package.version }}-${{ execution.number }}", "v1.2-42"),
        ("${{ package.notes }}", "a\nb\n"),
        ("${{ execution.id }}/${{ execution.attempt }}", "0" * 26 + "/2"),
        ("${{ execution.trigger }} ${{ execution.url }}", "push u"),
        ("${{ source.commit }}", "c" * 40),
        ("${{ source.previous }}", "b" * 40),
        ("${{ source.author }} <${{ source.email }}>", "Ada <ada@example.com>"),
        ("${{ source.message }}", "one\n\ntwo\n"),
        ("${{ source.branch }}|${{ source.tag }}", "main|"),
        ("no reference, ${X}, $(x), #{a.b}", "no reference, ${X}, $(x), #{a.b}"),
    ],
)
def test_namespaces(text, value):
    assert env(text) == value


def test_each_leg_sees_its_own_matrix():
    assert env("${{ matrix.python }}", matrix={"python": "3.12"}) == "3.12"
    assert isinstance(env("${{ matrix.python }}"), Unresolved)


def test_outputs_cannot_stand_in_for_our_own_namespaces():
    values = scope(
        EXECUTION, FACTS, {}, {"execution": {"id": "forged"}, "source": {"commit": "forged"}, "matrix": {"x": "forged"}}
    )
    assert env("${{ execution.id }}${{ source.commit }}", values) == "0" * 26 + "c" * 40
    assert isinstance(env("${{ matrix.x }}", values), Unresolved)


def test_everything_that_is_missing_is_told():
    result = resolve(
        action(env={"X": "${{ package.verison }}"}, work=Use(provider="ecs", options={"a": ["${{ gone.x }}"]})), SCOPE
    )
    assert isinstance(result, Unresolved)
    assert "env.X: ${{ package.verison }} has no value (package has only notes, version)" in result.message
    assert "options.a[0]: ${{ gone.x }} has no value (nothing that has ended left values under gone)" in result.message


REF = "${{ package.version }}"
PLACES = [
    (Run(script="s", image=REF, hosts=REF, workdir=REF, user=REF), {"image", "hosts", "workdir", "user"}),
    (
        Run(script="s", services=(Service(name="db", image=REF, env={"A": REF}, command=("x", REF)),)),
        {"services[0].image", "services[0].env.A", "services[0].command[1]"},
    ),
    (Approval(message=REF, url=REF), {"message", "url"}),
    (Deploy(to=REF, options={"health": {"url": REF}}), {"to", "options.health.url"}),
    (Use(provider="ecs", options={"image": REF, "list": [{"k": REF}]}), {"options.image", "options.list[0].k"}),
]


@pytest.mark.parametrize(("work", "places"), PLACES)
def test_places_in_the_work(work, places):
    result = resolve(action(work), SCOPE)
    assert isinstance(result, Resolved)
    assert result.texts == dict.fromkeys(places, "1.2")
    assert "${{" not in msgspec.json.encode(result.action).decode()


def test_places_in_the_action():
    written = action(
        inputs=(ArtifactInput(name="dist", path=REF),),
        artifacts=(ArtifactOutput(name="dist", files=(f"{REF}/**",), exclude=(REF,)),),
        cache=(Cache(paths=("p",), key=REF),),
        reports=(f"{REF}.xml",),
    )
    result = resolve(written, SCOPE)
    assert isinstance(result, Resolved)
    assert set(result.texts) == {
        "inputs[0].path",
        "artifacts[0].files[0]",
        "artifacts[0].exclude[0]",
        "cache[0].key",
        "reports[0]",
    }


@pytest.mark.parametrize(
    "literal",
    [
        action(Run(script=REF)),
        action(Run(script="s", services=(Service(name="db", image="i", ready=REF),))),
        action(Approval(groups=(Group(any_of=(REF,)),))),
        action(matrix={"x": REF}),
        action(secrets={REF: "X"}),
    ],
)
def test_what_is_code_or_policy_is_left_alone(literal):
    assert resolve(literal, SCOPE) == Resolved(literal, {})


def test_rules_are_looked_up_but_for_their_scripts():
    result = resolve_rule(Rule(provider="command", options={"run": REF, "env": {"V": REF}}), SCOPE)
    assert result.rule.options == {"run": REF, "env": {"V": "1.2"}}
    assert resolve_rule(Rule(provider="lambda", options={"run": REF}), SCOPE).rule.options == {"run": "1.2"}
    assert isinstance(resolve_rule(Rule(provider="variable", options={"variable": "${{ a.b }}"}), SCOPE), Unresolved)


hostile = st.text(alphabet="${} .abvx", max_size=30) | st.sampled_from(["${{ a.b }}", "${{ v.a }}", "}}${{", "$", "{{ v.a }}"])


@given(st.dictionaries(st.sampled_from(["a", "b", "x"]), hostile, min_size=1), st.lists(hostile, max_size=2))
def test_values_are_never_looked_at_again(values, between):
    """Whatever a value holds, it comes out as it went in."""
    between = [part.replace("$", "") for part in between]
    text = "".join(f"${{{{ v.{key} }}}}{''.join(between)}" for key in values)
    assert env(text, {"v": values}) == "".join(f"{value}{''.join(between)}" for value in values.values())


@given(st.text(alphabet="${}ab. \n'\"", max_size=20).filter(lambda text: "${{" not in text))
def test_a_text_without_references_stays(text):
    assert resolve(action(env={"X": text}), SCOPE) == Resolved(action(env={"X": text}), {})


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.text(alphabet="xyz\n", max_size=5), min_size=2))
def test_looking_up_twice_changes_nothing(values):
    once = resolve(action(env={"X": "${{ v.a }} and ${{ v.b }}"}), {"v": values})
    assert resolve(once.action, {"v": values}).action == once.action
