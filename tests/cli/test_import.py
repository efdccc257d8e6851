"""`git pipeline import`: files are written, judged, and never overwritten unasked."""

from pathlib import Path

import pytest

CASES = Path(__file__).parents[1] / "cases" / "importers"


@pytest.mark.parametrize(
    ("source", "target"),
    [("github/.github/workflows/ci.yml", "ci"), ("woodpecker/.woodpecker.yml", "ci"), ("gitlab/.gitlab-ci.yml", "ci")],
)
def test_a_file_is_known_by_its_name(repositories, call, source, target):
    code, out, err = call("import", CASES / source)
    assert (code, err) == (0, ""), out
    assert out.splitlines()[0].startswith(f"wrote .pipeline/{target}.yaml, ")
    assert out.splitlines()[0].endswith("left to you")
    assert call("check")[0] == 0
    assert (repositories.clone / ".pipeline" / f"{target}.yaml").exists()


def test_what_the_rest_of_the_project_lacks_is_said(repositories, call):
    code, out, _ = call("import", CASES / "codepipeline/pipeline.json")
    assert code == 1
    assert "buildspec.yml" in out
    assert (repositories.clone / ".pipeline/shop.release.yaml").exists()


def test_nothing_is_overwritten_unasked(call, repositories):
    file = CASES / "woodpecker/.woodpecker.yml"
    text = call("import", "--print", file)[1]
    assert text == (CASES / "woodpecker/converted.yaml").read_text().replace(".woodpecker.yml", str(file), 1)
    assert not (repositories.clone / ".pipeline").exists()
    call("import", file)
    code, _, err = call("import", file)
    assert (code, "is there already" in err) == (1, True)
    assert call("import", "--force", file)[0] == 0


def test_a_file_that_nobody_knows(repositories, call):
    (repositories.clone / "x.yml").write_text("a: 1\n")
    code, _, err = call("import", "x.yml")
    assert (code, "say --from codepipeline|github|gitlab|woodpecker" in err) == (2, True)
