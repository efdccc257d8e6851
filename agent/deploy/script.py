"""One deployment on one host as one script for sh: lifecycle events in order, the switch, health, and a result that stays.

It runs as a supervised job, so neither a lost connection nor a killed agent ends or repeats it. A line that begins with MARK
names the event that begins; all other output is the scripts'. The last thing it does is to write
`.deploy/deployments/<id>/result`.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from shlex import quote

from agent.definition.deployment import Deployment, Exists, HealthCheck
from agent.deploy import hostlib, install, lifecycle
from agent.deploy.appspec import AppSpec, Hook
from agent.model.value import Value

MARK = "\x1e"  # without a name behind it: the result follows
WATCHED = 3  # looks in a row, the time of watching, after which a host is sick
UNWELL = "unwell: "  # begins the line that says what is wrong


class HostPlan(Value, frozen=True, kw_only=True):
    """What one host is to do. `last` is the release whose files and stop scripts are there, "" on a first deployment."""

    base: str
    release: str
    deployment: str
    options: Deployment
    environment: Mapping[str, str] = {}
    label: str = ""  # for people: release #42
    commit: str = ""
    spec: AppSpec | None = None
    last: str = ""
    last_spec: AppSpec | None = None
    traffic: bool = False  # whether a load balancer stands before the host
    only: str = ""  # a single event, around the traffic: the hooks of it, and nothing else


def script(plan: HostPlan) -> str:
    """The whole script. Exit code 0: deployed; 1: the result says what failed."""
    body = (
        _only(plan)
        if plan.only
        else _appspec(plan, plan.spec)
        if plan.spec
        else _slots(plan, plan.options.slots)
        if plan.options.slots
        else _plain(plan)
    )
    return "\n".join((*_head(plan), hostlib.LIBRARY, *body, *_tail(plan), ""))


def is_brief(plan: HostPlan) -> bool:
    """Whether nothing of the project's runs on the host: that takes milliseconds, and may be said again, so it needs no job."""
    options = plan.options
    theirs = (options.before, options.start, options.stop, options.after, options.switch)
    asks = options.health is not None and options.health.by == "host"
    return not (plan.spec or plan.only or options.slots or asks or any(theirs))


def _head(plan: HostPlan) -> Iterator[str]:
    values = {
        "BASE": plan.base,
        "NAME": plan.release,
        "DEPLOYMENT": plan.deployment,
        "LABEL": plan.label,
        "COMMIT": plan.commit,
        "SHARED": ":".join(plan.options.shared),
        "ONLY": plan.only,
    }
    yield from (f"{name}={quote(value)}" for name, value in values.items())
    yield from _told({**plan.environment, "RELEASE": f"{plan.base}/releases/{plan.release}"})


def _told(environment: Mapping[str, str]) -> Iterator[str]:
    """What every script of the project may know, exported; `told` says it again where the job's own variables came over it."""
    yield "told() {"
    yield from (f"export {name}={quote(value)}" for name, value in sorted(environment.items()))
    yield from ("}", "told")


def _tail(plan: HostPlan) -> Iterator[str]:
    if not plan.only:
        yield f"prune {plan.options.keep}"
    yield "finish succeeded ''"


def _plain(plan: HostPlan) -> Iterator[str]:
    """Scripts of the pipeline file: before (the old one still runs), stop, switch, start, health, after."""
    options = plan.options
    yield from _step("before", options.before, '"$RELEASE"', options)
    if options.stop:
        yield 'if [ -n "$FORMER" ]; then'
        yield from _step("stop", options.stop, '"$BASE/current"', options, tolerant=True)
        yield "fi"
    yield from ("event switch", "switch || fail 'current cannot be switched'")
    yield from _step("start", options.start, '"$RELEASE"', options)
    yield from _healthy(options.health, "fail")
    yield from _step("after", options.after, '"$RELEASE"', options)


def _slots(plan: HostPlan, slots: Mapping[str, int]) -> Iterator[str]:
    """Blue-green: the idle slot takes the release, and traffic only if it is well; then the other one ends."""
    options = plan.options
    yield " ".join(("slots", *(f"{name} {port}" for name, port in slots.items())))
    yield from _step("before", options.before, '"$RELEASE"', options)
    yield from ("event slot", 'occupy || fail "slot $SLOT cannot be prepared"')
    yield f'abandon() {{ {_quiet(options.stop, options)}; CHANGED=0; fail "$1"; }}'
    yield from _step("start", options.start, '"$BASE/slots/$SLOT"', options, failed="abandon")
    yield from _healthy(options.health, "abandon")
    yield from (
        "event switch",
        "switch || abandon 'current cannot be switched'",
        "take_over || fail 'the slot cannot be switched'",
    )
    yield from _step("switch", options.switch, '"$RELEASE"', options)
    yield from _step("after", options.after, '"$RELEASE"', options)
    if options.stop:
        yield f'if [ -n "$OTHER" ]; then sleep {_seconds(options.drain)}'
        yield 'slot "$OTHER" "$OTHER_PORT"'
        yield from _step("stop", options.stop, '"$BASE/slots/$SLOT"', options, tolerant=True)
        yield "fi"


def _quiet(text: str, options: Deployment) -> str:
    """End what was started in vain; that it fails, too, is no news."""
    return f'CHANGED=1; in_directory "$BASE/slots/$SLOT" {_seconds(options.script_timeout)} {quote(text)} || :' if text else ":"


def _step(
    name: str, text: str, where: str, options: Deployment, *, tolerant: bool = False, failed: str = "fail"
) -> Iterator[str]:
    """A plain script in a directory; a failure is the deployment's, unless `tolerant`."""
    if not text:
        return
    yield f"event {name}"
    run = f"in_directory {where} {_seconds(options.script_timeout)} {quote(text)}"
    yield f"{run} || " + ('tolerate "$WHY"' if tolerant and options.ignore_stop_failure else f'{failed} "$WHY"')


def _healthy(health: HealthCheck | None, failed: str, tries: int = 0) -> Iterator[str]:
    if health is None or health.by == "agent":
        return
    limit = _seconds(health.timeout)
    yield "event health"
    if health.url:
        check = f"check_url {_expanded(health.url)} {limit}"
    elif health.port:
        check = f"check_port {health.port}"
    else:
        check = f'check_command "$RELEASE" {limit} {quote(health.command)}'
    yield f'retry {tries or health.retries} {_seconds(health.interval)} {check} || {failed} "health check failed: $WHY"'


def _expanded(url: str) -> str:
    """The URL as a word for sh, with the slot and its port put in."""
    return quote(url).replace("{port}", "'\"$PORT\"'").replace("{slot}", "'\"$SLOT\"'") if "{" in url else quote(url)


def health_script(options: Deployment, environment: Mapping[str, str], base: str) -> str:
    """Only the health check, for the time of watching: sick is what is sick WATCHED times. The last line says what is wrong."""
    health = options.health
    if health is None:
        return "exit 0"
    slot = (
        (
            "SLOT=$(cat $BASE/.deploy/slot 2>/dev/null)",
            "case $SLOT in",
            *_ports(options),
            "esac",
            'slot "$SLOT" "$PORT"',
        )
        if options.slots
        else ()
    )
    once = "\n".join(line for line in _healthy(health, "unwell", min(health.retries, WATCHED)) if not line.startswith("event"))
    return "\n".join(
        (
            f"BASE={quote(base)} DEPLOYMENT=x NAME=x LABEL=x COMMIT=x SHARED=x",
            *_told({**environment, "RELEASE": f"{base}/current"}),
            hostlib.LIBRARY,
            *slot,
            f'unwell() {{ echo "{UNWELL}$1"; exit 1; }}',
            once,
            "exit 0",
        )
    )


def _ports(options: Deployment) -> Iterator[str]:
    return (f"{name}) PORT={port};;" for name, port in (options.slots or {}).items())


def _appspec(plan: HostPlan, spec: AppSpec) -> Iterator[str]:
    for event in lifecycle.within(traffic=plan.traffic, ignore_stop_failure=plan.options.ignore_stop_failure):
        if event.name == "Install":
            yield from ("event Install", *install.lines(spec, _exists(plan, spec)), "switch || fail 'current cannot be switched'")
            yield f"installed {quote(plan.options.appspec)}"
            continue
        source, release = (plan.last_spec, plan.last) if event.former else (spec, plan.release)
        hooks = source.hooks.get(event.name, ()) if source else ()
        if hooks:
            yield from _event(event, hooks, f"{plan.base}/releases/{release}")
    yield from _healthy(plan.options.health, "fail")


def _only(plan: HostPlan) -> Iterator[str]:
    """The hooks of one event; those of `release`, whichever that is."""
    event = lifecycle.event(plan.only, ignore_stop_failure=plan.options.ignore_stop_failure)
    hooks = plan.spec.hooks.get(plan.only, ()) if plan.spec else ()
    yield from _event(event, hooks, f"{plan.base}/releases/{plan.release}")


def _exists(plan: HostPlan, spec: AppSpec) -> Exists:
    """The file wins over the option (codepipeline.md 4.1)."""
    return spec.exists or plan.options.file_exists_behavior or "DISALLOW"


def _event(event: lifecycle.Event, hooks: Iterable[Hook], directory: str) -> Iterator[str]:
    yield f"event {event.name}"
    failed = 'tolerate "$WHY"' if event.may_fail else 'fail "$WHY"'
    for hook in hooks:
        words = (directory, hook.location, str(hook.timeout), hook.runas, "sudo" if hook.sudo else "")
        yield f"hook {' '.join(map(quote, words))} || {failed}"


def _seconds(time: timedelta | None) -> int:
    return int(time.total_seconds()) if time else 0
