"""Drawings in text, whole."""

import re
from datetime import timedelta

import pytest
from hypothesis import given

from agent.graph.draw import dot, mermaid, spell, text
from agent.graph.picture import DrawnAction, DrawnStage, Picture, picture
from tests.support.pipelines import action, pipeline, pipelines, stage

RELEASE = pipeline(
    stage("build", action("package", image="alpine"), action("unit", matrix={"n": ["1", "2"]}), action("sum", needs=["unit"])),
    stage("docs", action("html"), needs=[]),
    stage("production", action("web", deploy={"to": "web"}), needs=["build", "docs"], lock="prod"),
)
RUN = {
    ("build", "package"): timedelta(seconds=3),
    ("build", "unit (1)"): timedelta(seconds=80),
    ("build", "sum"): timedelta(seconds=0.4),
}


def test_text():
    assert text(picture(RELEASE, RUN)) == (
        "release\n"
        "\n"
        "build\n"
        "├── package   run alpine  3.0s\n"
        "├── unit (1)  run  1m20s *\n"
        "├── unit (2)  run\n"
        "└── sum       run, after unit (1), unit (2)  0.4s *\n"
        "\n"
        "docs  after nothing\n"
        "└── html      run\n"
        "\n"
        "production  after build, docs  [lock prod]\n"
        "└── web       deploy to web, rolling\n"
        "\n"
        "* critical path\n"
    )


def test_mermaid():
    assert mermaid(picture(RELEASE, RUN)) == (
        "flowchart LR\n"
        '  subgraph s0["build"]\n'
        '    s0a0["package · 3.0s"]\n'
        '    s0a1["unit (1) · 1m20s"]\n'
        '    s0a2["unit (2)"]\n'
        '    s0a3["sum · 0.4s"]\n'
        "    s0a1 --> s0a3\n"
        "    s0a2 --> s0a3\n"
        "  end\n"
        '  subgraph s1["docs"]\n'
        '    s1a0["html"]\n'
        "  end\n"
        '  subgraph s2["production"]\n'
        '    s2a0["web"]\n'
        "  end\n"
        "  s0 --> s2\n"
        "  s1 --> s2\n"
        "  classDef critical stroke:#c62828,stroke-width:3px\n"
        "  class s0a1,s0a3 critical\n"
    )


def test_dot():
    assert dot(picture(RELEASE, RUN)) == (
        'digraph "release" {\n'
        "  rankdir=LR; compound=true; node [shape=box];\n"
        '  subgraph cluster_s0 { label="build";\n'
        '    s0a0 [label="package · 3.0s"];\n'
        '    s0a1 [label="unit (1) · 1m20s", color=red, penwidth=2];\n'
        '    s0a2 [label="unit (2)"];\n'
        '    s0a3 [label="sum · 0.4s", color=red, penwidth=2];\n'
        "    s0a1 -> s0a3;\n"
        "    s0a2 -> s0a3;\n"
        "  }\n"
        '  subgraph cluster_s1 { label="docs";\n'
        '    s1a0 [label="html"];\n'
        "  }\n"
        '  subgraph cluster_s2 { label="production";\n'
        '    s2a0 [label="web"];\n'
        "  }\n"
        "  s0a3 -> s2a0 [ltail=cluster_s0, lhead=cluster_s2];\n"
        "  s1a0 -> s2a0 [ltail=cluster_s1, lhead=cluster_s2];\n"
        "}\n"
    )


HOSTILE = Picture("t", (DrawnStage("s", 0, (), (DrawnAction('unit (a"] --> x["<b>#\\\n)', "run", 0),)),))


def test_values_of_a_matrix_stay_inside_their_labels():
    """Names of legs carry any text of the file."""
    assert '    s0a0["unit (a#quot;] --#gt; x[#quot;#lt;b#gt;#35;\\ )"]' in mermaid(HOSTILE).splitlines()
    assert '    s0a0 [label="unit (a\\"] --> x[\\"<b>#\\\\ )"];' in dot(HOSTILE).splitlines()
    assert '└── unit (a"] --> x["<b>#\\ )  run' in text(HOSTILE).splitlines()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0.0s"), (9.94, "9.9s"), (12.4, "12s"), (59.7, "1m00s"), (185, "3m05s"), (3599.6, "1h00m"), (90000, "25h00m")],
)
def test_spell(seconds, said):
    assert spell(timedelta(seconds=seconds)) == said


@given(pipelines)
def test_every_stage_and_every_need_is_drawn(pipe):
    found = picture(pipe)
    inside = sum(len(one.needs) for found_stage in found.stages for one in found_stage.actions)
    between = sum(len(found_stage.needs) for found_stage in found.stages)
    count = sum(len(found_stage.actions) for found_stage in found.stages)
    assert len(re.findall(" --> ", mermaid(found))) == len(re.findall(" -> ", dot(found))) == inside + between
    assert len(re.findall("[├└]── ", text(found))) == count
