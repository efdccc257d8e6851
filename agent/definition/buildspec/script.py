"""The phases of a buildspec as one POSIX script (codepipeline.md 3).

All commands run in one shell, so `cd` and variables stay (version 0.1: each in its own). A failed command skips the rest of its
phase but for `finally`; a failed install or pre_build ends the build, a failed build goes on to post_build. The steps have
numbers, so that a command that leaves the shell by `exit`, by `set -e` or by a syntax error does not leave the build: the trap
goes on with the next step in a subshell, which knows all variables. (busybox's shell does so once: a second such end is the end.)
"""

import re
from collections.abc import Iterator, Sequence
from shlex import quote
from typing import NamedTuple

from agent.definition.buildspec.document import PHASES, Buildspec, OnFailure
from agent.definition.references import OPENING

_DONE = 90  # exit code by which the steps say that they came to their end; any other 0 is an `exit` that nobody caught

_SHELL = r"""set +e
export CODEBUILD_BUILD_SUCCEEDING=1 CODEBUILD_SRC_DIR="$PIPELINE_WORKSPACE" CODEBUILD_INITIATOR="codepipeline/$PIPELINE_NAME"
export CODEBUILD_BUILD_ID="$PIPELINE_NAME:$PIPELINE_EXECUTION" CODEBUILD_BUILD_NUMBER="$PIPELINE_NUMBER"
export CODEBUILD_RESOLVED_SOURCE_VERSION="$PIPELINE_COMMIT" CODEBUILD_SOURCE_VERSION="$PIPELINE_COMMIT"
export CODEBUILD_START_TIME="$(date +%s)000"
if [ -n "$PIPELINE_BRANCH" ]; then
  export CODEBUILD_WEBHOOK_TRIGGER="branch/$PIPELINE_BRANCH" CODEBUILD_WEBHOOK_HEAD_REF="refs/heads/$PIPELINE_BRANCH"
elif [ -n "$PIPELINE_TAG" ]; then
  export CODEBUILD_WEBHOOK_TRIGGER="tag/$PIPELINE_TAG" CODEBUILD_WEBHOOK_HEAD_REF="refs/tags/$PIPELINE_TAG"
fi
__step=1 __goto=1 __otherwise=1 __failed=0 __bad=0 __phase=
__run() { # phase, the step to go on with where it fails, command
  __phase=$1 __otherwise=$2 __command=$3
  printf '[%s] %s\n' "$__phase" "$__command"
  set --
  if [ "$__own" -eq 1 ]; then (eval "$__command"); else eval "$__command"; fi
  __status=$?
  if [ "$__status" -ne 0 ]; then __fail "$__status"; fi
}
__fail() {
  echo "[$__phase] the command ended with exit code $1"
  if [ "$__failed" -eq 0 ]; then __failed=$1; fi
  CODEBUILD_BUILD_SUCCEEDING=0 __bad=1 __goto=$__otherwise
}
__end() { # the step to go on with where the phase has failed
  if [ "$__bad" -eq 1 ]; then __goto=$1; fi
  __bad=0
}
__export() {
  eval "__value=\${$1-}"
  __mark=END_OF_VALUE
  while case $__value in *"$__mark"*) true ;; *) false ;; esac; do __mark=${__mark}_; done
  printf '%s<<%s\n%s\n%s\n' "$1" "$__mark" "$__value" "$__mark" >>"$PIPELINE_OUTPUT"
}
__go() {
  while [ "$__step" -le "$__last" ]; do
    __goto=$((__step + 1))
    __steps
    __step=$__goto
  done
  if [ "$__failed" -eq 0 ]; then
    __exports
    exit @DONE@
  fi
  if [ "$__failed" -eq @DONE@ ]; then exit 1; fi
  exit "$__failed"
}
__resume() {
  __status=$?
  if [ "$__step" -gt "$__last" ]; then exit "$__status"; fi
  if [ "$__status" -ne 0 ]; then __fail "$__status"; fi
  __step=$__goto
  (trap __resume EXIT; __go)
  exit "$?"
}
""".replace("@DONE@", str(_DONE))

_START = f"""(trap __resume EXIT; __go)
__status=$?
case $__status in
{_DONE}) exit 0 ;;
0) echo "a command left the build by exit"; exit 1 ;;
*) exit "$__status" ;;
esac
"""


class Step(NamedTuple):
    """A command, or with none the end of a phase; `otherwise` is the number of the step to go on with after a failure."""

    phase: str
    otherwise: int
    command: str = ""

    @property
    def line(self) -> str:
        if not self.command:
            return f"__end {self.otherwise}"
        return f"__run {self.phase} {self.otherwise} {quote(self.command)}"


def script(spec: Buildspec, inputs: Sequence[str] = (), notices: Sequence[str] = ()) -> str:
    """The script of all phases; it prints the notices first. Exported variables go to $PIPELINE_OUTPUT if the build succeeded.

    `inputs` are the artifacts whose directories are in CODEBUILD_SRC_DIR_<name>.
    """
    steps = tuple(_steps(spec))
    exported = "; ".join(["true", *(f"__export {name}" for name in spec.env.exported_variables)])
    numbered = (f"{number}) {step.line} ;;\n" for number, step in enumerate(steps, 1))
    return "".join(
        [
            *(f"echo {quote(notice)}\n" for notice in notices),
            _SHELL,
            *(_source(name) for name in inputs if OPENING not in name),
            f"__last={len(steps)} __own={int(spec.version == '0.1')}\n__exports() {{ {exported}; }}\n",
            "__steps() {\ncase $__step in\n",
            *numbered,
            "esac\n}\n",
            _START,
        ]
    )


def _source(name: str) -> str:
    word = re.sub("[^A-Za-z0-9]", "_", name)
    return f'export CODEBUILD_SRC_DIR_{word}="$PIPELINE_INPUT_{word.upper()}"\n'


def _steps(spec: Buildspec) -> Iterator[Step]:
    last = sum(_length(spec, name) for name in PHASES)
    start = 1
    for name in PHASES:
        phase = spec.phases.of(name)
        following = start + _length(spec, name)
        cleaning = start + len(phase.commands)
        end = following - 1
        yield from (Step(name, cleaning, _written(command)) for command in phase.commands)
        yield from (Step(name, end, _written(command)) for command in phase.finally_)
        if following > start:
            yield Step(name, following if _goes_on(name, phase.on_failure) else last + 1)
        start = following


def _length(spec: Buildspec, name: str) -> int:
    """Steps of a phase: its commands and its end; none for a phase that does nothing."""
    phase = spec.phases.of(name)
    count = len(phase.commands) + len(phase.finally_)
    return count + 1 if count else 0


def _goes_on(name: str, failing: OnFailure | None) -> bool:
    """Whether the next phase runs after this one has failed."""
    if failing is None or failing.kind == "retry":
        return name == "build"
    return failing.kind == "continue"


def _written(command: str) -> str:
    """An empty command does nothing, but it is one."""
    return command.rstrip("\n") if command.strip() else ":"
