"""`git pipeline init`: a first pipeline, made by looking at the project."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click

from agent.cli.check import judged
from agent.cli.remote import discover
from agent.cli.worktree import work_tree
from agent.errors import RefusedError, UsageError
from agent.git.tree import DirectoryTree

NAME = ".pipeline/ci.yaml"


class Step(NamedTuple):
    """An action of the first stage: its name, image, script, and what it keeps."""

    name: str
    image: str
    script: tuple[str, ...]
    cache: str = ""
    keys: tuple[str, ...] = ()


Read = Callable[[str], str]  # the text of a file of the project; empty if there is none


@click.command(short_help="write a first pipeline by looking at the project")
@click.option("--print", "prints", is_flag=True, help="print it, and write nothing")
@click.option("--force", is_flag=True, help="write over the one that is there")
def command(prints: bool, force: bool) -> None:
    """Write .pipeline/ci.yaml: what the project's own files (pyproject.toml, package.json, go.mod, Makefile, …) tell.

    It is a start: read it, try it with `git pipeline run`, and commit it.
    """
    discover(os.environ)
    root = work_tree()
    if not root:
        raise UsageError("there is no working tree here", hint="change into a clone")
    steps = guess(lambda name: _text(Path(root) / name))
    text = written(steps)
    if prints:
        click.echo(text, nl=False)
        return
    path = Path(root) / NAME
    if path.exists() and not force:
        raise RefusedError(f"{NAME} is there already", hint="--force writes over it, --print shows what would be written")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    found = judged(DirectoryTree(root))
    told = ", ".join(f"{step.name} ({step.image})" for step in steps)
    click.echo(f"wrote {NAME}: {told}")
    click.echo(found.report if found.diagnostics else f"next: git pipeline run, then git add {NAME} && git commit && git push")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace") if path.is_file() else ""
    except OSError:
        return ""


def guess(read: Read) -> tuple[Step, ...]:
    """What a project of this kind is usually tested with; at least one step, which may only say so."""
    found = tuple(step for kind in (_python, _node, _go, _rust, _java, _ruby) if (step := kind(read)))
    if found:
        return found
    makefile = read("Makefile")
    if makefile:
        target = next((name for name in ("test", "check", "all") if re.search(rf"^{name}:", makefile, re.MULTILINE)), "")
        return (Step("make", "gcc:14", (f"make {target}".strip(),)),)
    return (Step("hello", "busybox", ('echo "nothing is known about this project yet: put its commands here"',)),)


def _python(read: Read) -> Step | None:
    project, requirements = read("pyproject.toml"), read("requirements.txt")
    if not (project or requirements or read("setup.py")):
        return None
    wanted = re.search(r'requires-python\s*=\s*">=\s*(3\.\d+)', project)
    install = ["pip install -r requirements.txt"] if requirements else []
    install += ["pip install ."] if project or read("setup.py") else []
    told = project + requirements + read("requirements-dev.txt") + read("setup.cfg") + read("tox.ini")
    test = ("pip install pytest", "python -m pytest") if "pytest" in told or not told else ("python -m unittest discover",)
    keys = tuple(name for name in ("pyproject.toml", "requirements.txt") if read(name))
    return Step("python", f"python:{wanted[1] if wanted else '3.12'}-slim", (*install, *test), "~/.cache/pip", keys)


def _node(read: Read) -> Step | None:
    package = read("package.json")
    if not package:
        return None
    has = {name: f'"{name}"' in package for name in ("lint", "build", "test")}
    runs = tuple(f"npm run {name}" for name, there in has.items() if there) or ("node --check .",)
    install = "npm ci" if read("package-lock.json") else "npm install"
    keys = ("package-lock.json",) if read("package-lock.json") else ("package.json",)
    return Step("node", "node:22-slim", (install, *runs), "~/.npm", keys)


def _go(read: Read) -> Step | None:
    module = read("go.mod")
    version = re.search(r"^go (\d+\.\d+)", module, re.MULTILINE)
    keys = ("go.sum",) if read("go.sum") else ("go.mod",)
    runs = ("go vet ./...", "go test ./...")
    return Step("go", f"golang:{version[1] if version else '1.23'}", runs, "~/go/pkg/mod", keys) if module else None


def _rust(read: Read) -> Step | None:
    return Step("rust", "rust:1-slim", ("cargo test",), "~/.cargo/registry", ("Cargo.toml",)) if read("Cargo.toml") else None


def _java(read: Read) -> Step | None:
    if read("pom.xml"):
        return Step("maven", "maven:3-eclipse-temurin-21", ("mvn --batch-mode verify",), "~/.m2/repository", ("pom.xml",))
    for name in ("build.gradle", "build.gradle.kts"):
        if read(name):
            gradle = "./gradlew" if read("gradlew") else "gradle"
            return Step("gradle", "gradle:8-jdk21", (f"{gradle} build",), "~/.gradle/caches", (name,))
    return None


def _ruby(read: Read) -> Step | None:
    runs = ("bundle install", "bundle exec rake")
    keys = ("Gemfile.lock",) if read("Gemfile.lock") else ("Gemfile",)
    return Step("ruby", "ruby:3.3", runs, "~/.bundle", keys) if read("Gemfile") else None


def written(steps: tuple[Step, ...]) -> str:
    """The file."""
    lines = ["# A push to any branch runs this; try it first: git pipeline run", "stages:", "  - name: test", "    actions:"]
    for step in steps:
        lines += [f"      - name: {step.name}", f"        image: {step.image}", "        network: true", "        run: |"]
        lines += [f"          {line}" for line in step.script]
        if step.cache:
            keys = ", ".join(step.keys)
            lines.append(f"        cache: {{paths: [{step.cache}], key_files: [{keys}]}}")
    return "\n".join(lines) + "\n"
