"""Several repositories on one machine: their workers share its places, and nobody is forgotten."""

import pytest

from tests.support import system
from tests.support.faults import LOCAL
from tests.support.system import System

REPOSITORIES, ACTIONS, PLACES = 5, 4, 2


@pytest.fixture
def several(tmp_path):
    made = [System(tmp_path / str(number), f"machine_concurrency = {PLACES}\n{LOCAL}") for number in range(REPOSITORIES)]
    yield made
    for each in made:
        each.end()


def at_once(told: list[str]) -> list[int]:
    """How many actions ran after each line."""
    running, counts = 0, []
    for line in told:
        running += 1 if line == "begins" else -1
        counts.append(running)
    return counts


def test_all_repositories_together_run_no_more_than_the_machine_allows(several, tmp_path, as_root):
    told = tmp_path / "told"
    script = f"echo begins >> {told}; sleep 0.1; echo ends >> {told}"
    actions = "".join(f"      - {{name: a{number}, run: '{script}'}}\n" for number in range(ACTIONS))
    for made in several:
        made.commit({".pipeline/p.yaml": f"defaults: {{runner: local}}\nstages:\n  - name: s\n    actions:\n{actions}"})
        made.queued()
    workers = [made.worker() for made in several]
    assert [worker.wait(system.PATIENCE) for worker in workers] == [0] * REPOSITORIES
    assert [[row.status for row in made.rows] for made in several] == [["Succeeded"]] * REPOSITORIES
    counts = at_once(told.read_text().splitlines())
    assert len(counts) == 2 * REPOSITORIES * ACTIONS
    assert max(counts) == PLACES
    assert [left for made in several for left in system.leftovers(made)] == []
