"""`git pipeline init`: what it makes of projects, and that it passes its own check."""

import pytest

from agent.cli.init import guess, written
from tests.support.published import git

PROJECTS = {
    "python": (
        {"pyproject.toml": 'requires-python = ">=3.11"\n[tool.pytest.ini_options]\n'},
        "python:3.11-slim",
        "python -m pytest",
    ),
    "node": (
        {"package.json": '{"scripts": {"test": "x", "lint": "y"}}', "package-lock.json": "{}"},
        "node:22-slim",
        "npm run lint",
    ),
    "go": ({"go.mod": "module x\n\ngo 1.22\n"}, "golang:1.22", "go test ./..."),
    "rust": ({"Cargo.toml": "[package]"}, "rust:1-slim", "cargo test"),
    "maven": ({"pom.xml": "<project/>"}, "maven:3-eclipse-temurin-21", "mvn --batch-mode verify"),
    "gradle": ({"build.gradle": "x", "gradlew": "#!"}, "gradle:8-jdk21", "./gradlew build"),
    "ruby": ({"Gemfile": "x"}, "ruby:3.3", "bundle exec rake"),
    "make": ({"Makefile": "check:\n\ttrue\n"}, "gcc:14", "make check"),
    "hello": ({}, "busybox", "nothing is known"),
}


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_of_this_kind(repositories, call, name):
    files, image, line = PROJECTS[name]
    for path, text in files.items():
        (repositories.clone / path).write_text(text)
    code, out, err = call("init")
    assert (code, err) == (0, "")
    assert out.startswith(f"wrote .pipeline/ci.yaml: {name} ({image})\n")
    assert "next: git pipeline run" in out
    assert line in (repositories.clone / ".pipeline/ci.yaml").read_text()
    assert call("check")[0] == 0


def test_several_kinds_stand_side_by_side():
    files = {**PROJECTS["python"][0], **PROJECTS["node"][0]}
    steps = guess(lambda name: files.get(name, ""))
    assert [step.name for step in steps] == ["python", "node"]
    assert written(steps).count("- name:") == 3


def test_nothing_is_overwritten_unasked(repositories, call):
    assert call("init", "--print")[1].startswith("# A push to any branch")
    assert git(repositories.clone, "status", "--porcelain") == ""
    call("init")
    assert call("init")[0] == 1
    assert call("init", "--force")[0] == 0
