"""All rules. One is one function and, but for a few that share a subject, one code."""

from collections.abc import Callable, Iterator

from agent.definition.diagnostics import Diagnostic
from agent.definition.reading import Reading
from agent.definition.rules import (
    artifacts,
    conditions,
    deployments,
    limits,
    names,
    needs,
    providers,
    references,
    triggers,
    variables,
    work,
)

Rule = Callable[[Reading], Iterator[Diagnostic]]

LIMITS: tuple[Rule, ...] = (limits.starts, limits.stages, limits.actions_of_pipeline, limits.actions_of_stage)
RULES: tuple[Rule, ...] = (
    names.stage_names,
    names.action_names,
    needs.unknown_actions,
    needs.action_cycles,
    needs.unknown_stages,
    needs.stage_cycles,
    needs.when_without_needs,
    work.one_kind,
    work.meaningless_keys,
    work.approval_timeouts,
    work.approval_groups,
    work.places,
    work.nowhere,
    work.empty_scripts,
    deployments.one_check,
    deployments.together,
    references.lookups,
    references.namespaces,
    variables.defaults,
    variables.reserved,
    variables.clashes,
    artifacts.unique,
    artifacts.inputs,
    artifacts.paths,
    artifacts.names,
    limits.matrices,
    limits.rules,
    triggers.one_way,
    triggers.tags_alone,
    triggers.globs,
    triggers.negations,
    triggers.crons,
    triggers.zones,
    triggers.scheduled_branches,
    triggers.repeated,
    triggers.never,
    triggers.needed_values,
    conditions.one_provider,
    conditions.results,
    conditions.retry_and_condition,
    conditions.parallel_rollback,
    conditions.skips,
    conditions.variable_rules,
    conditions.windows,
    providers.actions,
    providers.rules,
)


def judge(reading: Reading) -> Iterator[Diagnostic]:
    """What every rule says about a pipeline; of one that is larger than any may be, only that."""
    too_large = [diagnostic for limit in LIMITS for diagnostic in limit(reading)]
    yield from too_large
    for rule in () if too_large else RULES:
        yield from rule(reading)
