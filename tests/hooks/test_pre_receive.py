"""The verdict, with real pushes."""

import re

import pytest

from tests.support.definitions import cases
from tests.support.installed import BAD, GOOD
from tests.support.repo import Refused

ALWAYS = "triggers: [{push: {branches: ['**']}}, {push: {tags: ['**']}}]\n" + GOOD


def test_a_broken_pipeline_is_refused_with_every_mistake(repo):
    repo.commit({".pipeline/release.yaml": BAD, ".pipeline/docs.yaml": BAD.replace("stages:", "stagse:")})
    with pytest.raises(Refused) as caught:
        repo.push()
    said = str(caught.value)
    assert ".pipeline/release.yaml:5:9: " in said
    assert ".pipeline/docs.yaml:1:1: " in said
    assert "did you mean" in said
    assert "^" in said
    assert repo.git("for-each-ref", at=repo.bare) == ""
    assert repo.executions == ()


def test_a_push_with_a_dozen_mistakes_in_three_files_shows_every_place(repo):
    case = next(case for case in cases("broken") if case.name == "mixed-twelve-mistakes-in-three-files")
    report = case.with_name(f"{case.name}.out").read_text()
    places = re.findall(r"^\.pipeline/\w+\.yaml:\d+:\d+: GP\d+ ", report, re.MULTILINE)
    repo.commit({f".pipeline/{path.name}": path.read_text() for path in case.iterdir()})
    with pytest.raises(Refused) as caught:
        repo.push()
    said = [line.removeprefix("remote: ").rstrip() for line in str(caught.value).splitlines()]
    assert [line for line in report.splitlines() if line.rstrip() not in said] == []
    assert len(places) >= 12
    assert len({place.partition(":")[0] for place in places}) == 3


def test_a_refused_push_leaves_nothing_open(repo):
    repo.commit({".pipeline/release.yaml": BAD})
    with pytest.raises(Refused):
        repo.push()
    with repo.intake() as intake:
        assert not intake.has_open()


@pytest.mark.parametrize(
    "ref",
    ["refs/notes/pipeline", "refs/notes/pipeline-record", "refs/notes/pipeline-log", "refs/notes/pipeline-x", "refs/pipeline/x"],
)
def test_lesson_1_23_the_agents_refs_are_its_own(repo, ref):
    repo.commit({"a": "1"})
    with pytest.raises(Refused, match="written by the agent alone"):
        repo.push(f"HEAD:{ref}")
    repo.git("update-ref", ref, repo.git("rev-parse", "HEAD", at=repo.clone), at=repo.clone)
    repo.push("HEAD:refs/heads/main")
    repo.git("update-ref", ref, "refs/heads/main", at=repo.bare)
    with pytest.raises(Refused, match="written by the agent alone"):
        repo.push(f":{ref}")
    assert repo.git("rev-parse", ref, at=repo.bare)


def test_notes_of_others_are_not_our_business(repo):
    repo.commit({"a": "1"})
    repo.push("HEAD:refs/notes/commits")


def test_a_broken_pipeline_in_a_tag_or_a_second_branch_is_refused(repo):
    repo.commit({".pipeline/release.yaml": GOOD})
    repo.detached()
    repo.branch("side")
    repo.commit({".pipeline/release.yaml": BAD})
    repo.tag("v1", message="one")
    for refspecs in (("main", "side"), ("refs/tags/v1",)):
        with pytest.raises(Refused, match=r"release\.yaml:5:9"):
            repo.push(*refspecs)


def test_what_is_below_another_ref_is_not_judged(repo):
    repo.commit({".pipeline/release.yaml": BAD})
    repo.push("HEAD:refs/changes/1")
    assert repo.executions == ()


@pytest.mark.parametrize("kind", ["symlink to a file", "symlink as the directory", "submodule"])
def test_lesson_1_14_only_regular_files_count(repo, kind):
    repo.commit({"release.yaml": GOOD})
    if kind == "symlink to a file":
        repo.write({".pipeline/good.yaml": GOOD})
        (repo.clone / ".pipeline/release.yaml").symlink_to("/etc/passwd")
    elif kind == "symlink as the directory":
        (repo.clone / ".pipeline").symlink_to("/etc")
    else:
        repo.git("update-index", "--add", "--cacheinfo", f"160000,{repo.head},.pipeline/release.yaml")
        repo.git("commit", "-q", "-m", "submodule")
    if kind != "submodule":
        repo.commit()
    with pytest.raises(Refused) as caught:
        repo.push()
    assert ".pipeline" in str(caught.value)
    assert "root:" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        "[" * 30_000,
        "x: " + "y" * 10 * 1024**2,
        "\x00\x01\xff",
        "stages: [\n",
    ],
    ids=["aliases", "depth", "size", "binary", "syntax"],
)
def test_lesson_1_15_hostile_yaml_is_refused_and_hangs_nothing(repo, text):
    repo.commit({".pipeline/release.yaml": text})
    with pytest.raises(Refused) as caught:
        repo.push()
    assert ".pipeline/release.yaml" in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    "option",
    [
        "pipeline.unknown",
        "pipeline.var.name",
        "pipeline.var.$(id)=x",
        "pipeline.var.who=\x1b[31mred",
        "pipeline.var.who=" + "x" * 5000,
        "pipeline.var.nobody=x",
        "pipeline.var.where=moon",
        "pipeline.skip=yes",
    ],
)
def test_hostile_push_options_are_refused(repo, option):
    variables = "variables:\n  where: {default: earth, choices: [earth, mars]}\n  who: {default: you}\n"
    repo.commit({".pipeline/release.yaml": variables + GOOD})
    with pytest.raises(Refused) as caught:
        repo.push(options=(option,))
    assert "this push is refused" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert repo.executions == ()


def test_options_of_others_are_not_our_business(repo):
    repo.commit({".pipeline/release.yaml": GOOD})
    repo.detached(options=("ci.skip", "$(touch /tmp/x); `id`"))
    assert repo.labels == ["release #1"]


def test_five_hundred_refs_are_judged_in_a_few_calls_of_git(repo, tmp_path):
    calls = tmp_path / "calls"
    tools = tmp_path / "tools"
    tools.mkdir()
    real = repo.run("--exec-path").stdout.decode().strip() + "/git"
    (tools / "git").write_text(f'#!/bin/sh\necho "$*" >> {calls}\nexec {real} "$@"\n')
    (tools / "git").chmod(0o755)
    commit = repo.commit({".pipeline/release.yaml": ALWAYS})
    refspecs = [f"{commit}:refs/heads/b{index}" for index in range(500)]
    hook = repo.bare / "hooks" / "pre-receive"
    hook.write_text(hook.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\nPATH={tools}:$PATH\n"))
    said = repo.detached(*refspecs)
    assert "release #20 queued" in said
    assert "and 480 more executions queued" in said
    assert len(repo.labels) == 500
    assert len(calls.read_text().splitlines()) <= 8


def test_without_its_directory_the_agent_goes_on(repo):
    import shutil

    repo.commit({"a": "1"})
    repo.push()
    shutil.rmtree(repo.directory)
    repo.commit({".pipeline/release.yaml": BAD})
    with pytest.raises(Refused):
        repo.push()


def test_a_broken_pipeline_is_refused_even_without_state(repo):
    (repo.directory / "state.db").write_bytes(b"rubbish" * 1000)
    repo.commit({".pipeline/release.yaml": BAD})
    with pytest.raises(Refused, match=r"release\.yaml:5:9"):
        repo.push()
    repo.commit({".pipeline/release.yaml": GOOD})
    said = repo.push()
    assert "move it away" in said
    assert f"git pipeline resume {repo.bare}" in said
    assert "Traceback" not in said
