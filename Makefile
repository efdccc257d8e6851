# make demo: watch a push run a pipeline.  make test: everything, with a real git, Docker engine and sshd.
# make crash: kill -9 at every point of a worker and of the hooks, and what came of it.
.PHONY: demo test crash lint bench clean

demo:
	@.ci/setup demo
	@examples/demo

test:
	@.ci/setup test
	.venv/bin/python -m tests.support.engine
	PYTHONDONTWRITEBYTECODE= .venv/bin/pytest -n auto --dist worksteal -q

crash:
	@.ci/setup test
	.venv/bin/python -m tests.support.engine
	.venv/bin/python -m tests.system.crash
	GIT_PIPELINE_THOROUGH=1 .venv/bin/pytest -q tests/system/test_faults.py

lint:
	@.ci/setup test
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench:
	@.ci/setup test
	.venv/bin/python -m tests.support.engine
	.venv/bin/python -m bench

clean:
	@! [ -e .demo/host/pid ] || kill "$$(cat .demo/host/pid)" || true
	rm -rf .venv .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
