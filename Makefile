# make run: install and start the server        make test: the fast tests        make check: lint, types, import contracts
# make demo: draw one picture without a server  make slow: the long tests

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run demo test slow check format install chromium clean

run: .venv/installed
	$(BIN)/easel serve

demo: .venv/installed
	$(BIN)/easel run workflows/text_to_image.json

# Two processes, each of which takes a file of tests after the other; torch would otherwise wait for as many threads in each as there are cores.
test: export OMP_NUM_THREADS = 1
test: .venv/installed-dev node_modules/installed chromium
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

slow: .venv/installed-dev node_modules/installed chromium
	$(BIN)/python -m pytest -m slow --timeout 14400 $(PYTEST_ARGS)

check: .venv/installed-dev node_modules/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	node_modules/.bin/tsc

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: .venv/installed

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@ .venv/installed

node_modules/installed: package.json
	@npm install --no-package-lock --no-audit --no-fund --loglevel=error \
		|| (echo "TypeScript and axe-core, which check web/, could not be installed: npm (Node.js 20 or newer) and its registry are needed." && exit 1)
	@touch $@

# The browser tests drive the system's Chromium; where it cannot be installed they say what is missing.
chromium:
	@command -v chromium >/dev/null || ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ] \
		|| (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium)

clean:
	rm -rf .venv node_modules build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
