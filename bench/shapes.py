"""The same work in the language of everybody: jobs that do nothing but read a file, side by side or one after the other."""

from collections.abc import Sequence
from typing import NamedTuple

SCRIPT = "cat README.md"


class Shape(NamedTuple):
    """`jobs` of them; `in_line`: each waits for the one before. Targets as ratios to the loop of `docker run`."""

    title: str
    jobs: int
    in_line: bool
    target: str


SHAPES = (
    Shape("10 in parallel", 10, False, "<= 0.6"),
    Shape("a chain of 20", 20, True, "<= 0.45"),
    Shape("three steps", 3, True, "< 1"),
)


def pipeline(shape: Shape, image: str) -> str:
    """`.pipeline/p.yaml`"""
    lines = [f"defaults: {{image: {image}}}", "stages:"]
    groups = [[job] for job in _names(shape)] if shape.in_line else [_names(shape)]
    for number, group in enumerate(groups):
        lines += [f"  - name: s{number}", "    actions:", *(f"      - {{name: {job}, run: {SCRIPT}}}" for job in group)]
    return "\n".join(lines) + "\n"


def workflow(shape: Shape) -> str:
    """`.github/workflows/p.yml`: a job each, as images and machines are chosen by job."""
    lines = ["on: push", "defaults: {run: {shell: sh}}", "jobs:"]
    for number, job in enumerate(_names(shape)):
        needs = f"needs: [j{number - 1}], " if shape.in_line and number else ""
        lines.append(f"  {job}: {{runs-on: bench, {needs}steps: [{{run: {SCRIPT}}}]}}")
    return "\n".join(lines) + "\n"


def gitlab(shape: Shape, image: str) -> str:
    """`.gitlab-ci.yml`"""
    names = _names(shape)
    stages = names if shape.in_line else ["all"]
    lines = [f"default: {{image: {image!r}}}", f"stages: [{', '.join(stages)}]"]
    lines += [f"{job}: {{stage: {job if shape.in_line else 'all'}, script: [{SCRIPT}]}}" for job in names]
    return "\n".join(lines) + "\n"


def loop(shape: Shape, image: str) -> str:
    """A shell script of `docker run`; fails if one of them does."""
    one = f'docker run --rm -v "$PWD:/w" -w /w {image} sh -ec {SCRIPT!r}'
    if shape.in_line:
        return "set -e\n" + f"{one}\n" * shape.jobs
    started = "".join(f"{one} & p{number}=$!\n" for number in range(shape.jobs))
    return started + "set -e\n" + "".join(f"wait $p{number}\n" for number in range(shape.jobs))


def _names(shape: Shape) -> Sequence[str]:
    return [f"j{number}" for number in range(shape.jobs)]
