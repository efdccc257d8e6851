# make demo: watch a push run a pipeline.  make test: everything, with a real git, Docker engine and sshd.
.PHONY: demo test lint bench clean

demo:
	@.ci/setup demo
	@examples/demo

test:
	@.ci/setup test
	.venv/bin/python -m tests.support.engine
	.venv/bin/pytest -n auto -q

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
	rm -rf .venv .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
