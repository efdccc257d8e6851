import msgspec

from agent.actions import environment
from agent.executors.base import Places
from agent.model.plan import ArtifactInput
from tests.support.attempts import COMMIT, EXECUTION, attempt

PLACES = Places(workspace="/workspace", control="/run/git-pipeline")


def test_all_that_a_script_gets():
    made = attempt("true", inputs=(ArtifactInput(name="dist"), ArtifactInput(name="web-app.v2", path="in/web/")))
    assert environment.variables(made, PLACES) == {
        "PIPELINE_NAME": "release",
        "PIPELINE_NUMBER": "7",
        "PIPELINE_EXECUTION": EXECUTION,
        "PIPELINE_STAGE": "test",
        "PIPELINE_ACTION": "build",
        "PIPELINE_ATTEMPT": "1",
        "PIPELINE_COMMIT": COMMIT,
        "PIPELINE_BRANCH": "main",
        "PIPELINE_TAG": "",
        "PIPELINE_WORKSPACE": "/workspace",
        "PIPELINE_OUTPUT": "/run/git-pipeline/output",
        "PIPELINE_INPUT_DIST": "/workspace",
        "PIPELINE_INPUT_WEB_APP_V2": "/workspace/in/web",
    }


def test_a_tag():
    made = environment.variables(attempt("true", ref="refs/tags/v1"), PLACES)
    assert (made["PIPELINE_BRANCH"], made["PIPELINE_TAG"]) == ("", "v1")


def test_who_wins():
    env = {"CI": "no", "A": "action", "B": "action", "PIPELINE_COMMIT": "forged", "PIPELINE_NEW": "x"}
    made = attempt("true", env=env)
    result = environment.merged(made, PLACES, {"B": "operator"}, "/home")
    assert (result["CI"], result["A"], result["B"], result["HOME"]) == ("no", "action", "operator", "/home")
    assert result["PIPELINE_COMMIT"] == COMMIT
    assert "PIPELINE_NEW" not in result
    assert environment.refused(made) == ("PIPELINE_COMMIT", "PIPELINE_NEW")


def test_a_place_with_a_home_of_its_own():
    assert "HOME" not in environment.merged(attempt("true"), PLACES, {}, "")
    own = msgspec.structs.replace(attempt("true").action, env={"HOME": "/root"})
    made = msgspec.structs.replace(attempt("true"), action=own)
    assert environment.merged(made, PLACES, {}, "/home")["HOME"] == "/root"
