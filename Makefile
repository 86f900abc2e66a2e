# Every command of the project. Each makes .venv, and installs there what it needs, by itself; see "make help".

PYTHON ?= python3
PORT ?= 8000
PG_URL ?= postgres://postgres@127.0.0.1:5432/postgres
MARIADB_URL ?= mysql://root@127.0.0.1:3306/test
REDIS_URL ?= redis://127.0.0.1:6379/0
OPERATIONS_URL ?= postgres://postgres@127.0.0.1:5432/paiementpro_operations
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
# How many inputs the notification view is fuzzed with, the same each time in make check. In make prove atheris chooses
# many more.
RUNS ?= 5000
FUZZ ?= --repeatable
PROVE_RUNS ?= 1000000
# How many processes share the tests: more than cores, as many tests wait. 0 runs them in one, for --pdb.
WORKERS ?= 4
# The oldest and the newest, as tox environments; the Pythons of pyenv are found too.
PAIRS ?= py310-django52,py313-django61
# Where the shop frameworks are tested.
ADAPTERS ?= py312-django52-adapters,py313-django61-adapters,py312-pretix-adapters
# Where the admin themes are tested.
THEMES ?= py313-django61-themes
PYENV_PYTHONS := $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.1*/bin/python3.1?)

VENV := .venv
BIN := $(VENV)/bin

# Those that make bench measures beside ours, with the newest Python that is here: one of them needs 3.12.
PEERS := .venv-peers
PEERS_PYTHON ?= $(or $(lastword $(PYENV_PYTHONS)),$(PYTHON))

# The driver of the database that DATABASE_URL names; SQLite needs none.
scheme := $(firstword $(subst :, ,$(DATABASE_URL)))
comma := ,
driver := $(if $(filter postgres%,$(scheme)),$(comma)postgres)$(if $(filter mysql%,$(scheme)),$(comma)mysql)
on_sqlite := env -u DATABASE_URL

parallel := --numprocesses $(WORKERS) --dist worksteal

export CHROMIUM MARIADB_URL PG_URL PORT REDIS_URL SCREENSHOTS WORKERS
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

.PHONY: help
help:  ## list the commands
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "  make %-16s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# For everyone ---------------------------------------------------------------------------------------------------------

.PHONY: demo test browser

demo: $(VENV)/.with-example  ## run the example shop, with a gateway of its own (PORT=8000)
	@$(BIN)/python example_project/manage.py demo

test: $(VENV)/.with-test$(driver)  ## run the tests on SQLite, or on DATABASE_URL (ARGS= for pytest)
	$(BIN)/pytest $(parallel) $(ARGS)

browser: $(VENV)/.with-test$(driver)  ## run the tests that drive a real Chromium (CHROMIUM= its path)
	@test -x "$(CHROMIUM)" || { echo "No Chromium here: apt-get install chromium, or CHROMIUM=/path/to/it" >&2; exit 1; }
	$(BIN)/pytest -m browser $(ARGS)

# The steps of make check, each a command of its own ------------------------------------------------------------------

.PHONY: check lint types imports bandit migrations translations docs coverage schema postgres mariadb workers pairs
.PHONY: adapters themes fuzz build wheel reproducible

steps := lint types imports bandit migrations translations docs coverage schema postgres mariadb workers pairs adapters \
	fuzz wheel reproducible browser
check: $(steps)  ## run every step below, as CI does
	@echo "All is well."

lint: $(VENV)/.with-dev  ## ruff check, ruff format --check, and no phrases that read as a translation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tests.prose

types: $(VENV)/.with-dev  ## mypy --strict, with django-stubs
	$(on_sqlite) $(BIN)/mypy

imports: $(VENV)/.with-dev  ## the floors: imports run down only
	$(BIN)/lint-imports

bandit: $(VENV)/.with-dev  ## what bandit finds in the package is mended, or explained where it stands
	$(BIN)/bandit --quiet --recursive django_paiementpro

migrations: $(VENV)/.with-dev  ## no model without its migration
	$(on_sqlite) $(BIN)/python -m django makemigrations --check --dry-run --settings tests.settings --pythonpath .
	cd example_project && ../$(BIN)/python manage.py makemigrations --check --dry-run

translations: $(VENV)/.with-dev  ## every text translated, every .mo compiled from its .po
	$(BIN)/python tests/translations/check.py django_paiementpro example_project/shop

sphinx := $(BIN)/sphinx-build -q -E -W --keep-going -c docs
docs: $(VENV)/.with-docs  ## build the documentation in docs/_build, in English and French, warnings as errors
	$(sphinx) -t en docs/en docs/_build/en
	$(sphinx) -t fr docs/fr docs/_build/fr
	$(BIN)/python docs/twins.py

coverage:  ## the tests on SQLite, with every branch of package and tests covered
	@$(MAKE) --no-print-directory test DATABASE_URL= \
		ARGS="--cov --cov-report=term-missing:skip-covered --cov-fail-under=100 $(ARGS)"

schema: $(VENV)/.with-test  ## thousands of requests that the API's schema allows, or forbids
	$(on_sqlite) $(BIN)/pytest -m schema tests/schema $(ARGS)

postgres:  ## the tests on PostgreSQL (PG_URL=)
	@$(MAKE) --no-print-directory test DATABASE_URL=$(PG_URL)

mariadb:  ## the tests on MariaDB (MARIADB_URL=)
	@$(MAKE) --no-print-directory test DATABASE_URL=$(MARIADB_URL)

worker_tests := pytest -m worker --ds tests.workers.settings tests/workers
workers: $(VENV)/.with-test,postgres  ## real workers, killed, on SQLite and on PostgreSQL (PG_URL=, REDIS_URL=)
	@command -v redis-server >/dev/null || { echo "No redis-server here: apt-get install redis-server" >&2; exit 1; }
	$(on_sqlite) $(BIN)/$(worker_tests) $(ARGS)
	DATABASE_URL=$(PG_URL) $(BIN)/$(worker_tests) $(ARGS)

tox := $(BIN)/tox run $(if $(PYENV_PYTHONS),--discover $(PYENV_PYTHONS))
pairs: $(VENV)/floor.txt  ## the tests on the oldest pair, with the lowest versions, and on the newest (PAIRS=)
	$(tox) -e $(PAIRS) -- $(ARGS)

adapters: $(VENV)/.with-dev  ## purchases through each shop framework, in three environments (ARGS= their names)
	$(tox) -e $(ADAPTERS) -- $(ARGS)

themes: $(VENV)/.with-dev  ## the back office in each admin theme, in Chromium (CHROMIUM=, SCREENSHOTS= a folder, ARGS=)
	@test -x "$(CHROMIUM)" || { echo "No Chromium here: apt-get install chromium, or CHROMIUM=/path/to/it" >&2; exit 1; }
	$(tox) -e $(THEMES) -- $(ARGS)

fuzz: $(VENV)/.with-prove  ## thousands of mutated notifications, at the notification view (RUNS=5000)
	$(BIN)/python -m tests.fuzz.door $(RUNS) $(FUZZ) $(ARGS)

build: $(VENV)/.with-dev  ## build the package, and check what an index would show of it
	rm -rf build dist
	$(BIN)/python tests/wheel/build.py
	$(BIN)/twine check --strict dist/*

wheel: build  ## follow README.rst and LISEZMOI.rst, with the wheel in fresh environments, to a paid order
	$(BIN)/python -m tests.wheel.take_a_payment dist/*.whl

reproducible: $(VENV)/.with-dev  ## the last commit, built twice, by unlike people, is the same bytes
	$(BIN)/python tests/wheel/build_twice.py

# The steps of make prove: they take hours -----------------------------------------------------------------------------

.PHONY: prove properties mutants matrix audit

prove: bandit audit reproducible properties mutants matrix  ## every step below, bandit, reproducible, a long fuzz
	@$(MAKE) --no-print-directory fuzz RUNS=$(PROVE_RUNS) FUZZ=
	@echo "All is well."

properties: $(VENV)/.with-test  ## hypothesis, at length: the parsers, the gateway's answers, the states in any order
	$(on_sqlite) $(BIN)/pytest $(parallel) --hypothesis-profile=prove -o faulthandler_timeout=0 -m "hypothesis and not schema" $(ARGS)

mutants: $(VENV)/.with-prove  ## break the code in thousands of ways; a test notices, or survivors.toml says why not
	PATH=$(CURDIR)/$(BIN):$$PATH $(on_sqlite) $(BIN)/mutmut run $(MUTANTS)
	$(BIN)/python -m tests.mutation.check

matrix: $(VENV)/floor.txt  ## the tests on every pair of Python and Django, on every database (ENVS= for some)
	$(tox) $(if $(ENVS),-e $(ENVS)) -- $(ARGS)

unaudited := Not audited, or not clean: see above. It needs pypi.org, or osv.dev with AUDIT="-s osv".
audit: $(VENV)/.with-prove $(VENV)/floor.txt  ## no known vulnerability, in the newest and the lowest versions (AUDIT=)
	@$(BIN)/pip freeze --exclude-editable > $(VENV)/frozen.txt
	@for versions in frozen floor; do \
		$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement $(VENV)/$$versions.txt $(AUDIT) || \
			{ echo "$$versions.txt: "'$(unaudited)' >&2; exit 1; }; \
	done

# The rest -------------------------------------------------------------------------------------------------------------

.PHONY: docs-pictures docs-texts release bench bench-reconcile soak clean

docs-pictures: $(VENV)/.with-dev  ## make the pictures in docs/pictures, with Chromium, PlantUML and Graphviz
	@command -v plantuml >/dev/null || { echo "No plantuml here: apt-get install plantuml graphviz" >&2; exit 1; }
	@$(MAKE) --no-print-directory browser DATABASE_URL= \
		ARGS="tests/browser -k pictures" SCREENSHOTS=$(CURDIR)/docs/_build/screenshots
	$(BIN)/python docs/keep_pictures.py docs/_build/screenshots
	$(BIN)/python docs/badges.py
	$(sphinx) -t en -t draw docs/en docs/_build/en
	$(sphinx) -t fr -t draw docs/fr docs/_build/fr

docs-texts: $(VENV)/.with-docs  ## collect what the code says and the documentation has to say in French
	$(BIN)/sphinx-build -q -E -c docs -t fr -t collect docs/fr docs/_build/fr

release: $(VENV)/.with-dev  ## build the last commit for PyPI, check it, and say what to upload (TAG= the tag, if it exists)
	$(BIN)/python -m tests.release $(TAG) > $(VENV)/release.txt
	@$(MAKE) --no-print-directory wheel
	$(BIN)/python tests/wheel/build_twice.py dist
	@cat $(VENV)/release.txt

bench: $(PEERS)/.installed  ## measure all of it beside others: half an hour, one table (BENCH="--full", see CONTRIBUTING.rst)
	@command -v wrk >/dev/null || { echo "No wrk here: apt-get install wrk" >&2; exit 1; }
	$(PEERS)/bin/python -m benchmarks $(BENCH)

operations := DJANGO_SETTINGS_MODULE=benchmarks.operations OPERATIONS_URL=$(OPERATIONS_URL)

bench-reconcile: $(VENV)/.with-test,postgres  ## reconcile many payments with a gateway that takes its time (ARGS=)
	$(operations) $(BIN)/python -m benchmarks.reconcile $(ARGS)

soak: $(VENV)/.with-test,postgres $(VENV)/.with-test,mysql  ## sell with everything failing, and count what is lost (ARGS=)
	$(operations) DELIVERY=task REDIS_URL=$(REDIS_URL) $(BIN)/python -m benchmarks.soak $(ARGS)

clean:  ## remove what these commands made
	rm -rf $(VENV) $(PEERS) .tox build dist docs/_build mutants *.egg-info .coverage .hypothesis .*_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(PEERS)/.installed: setup.cfg benchmarks/peers.txt
	$(PEERS_PYTHON) -m venv $(PEERS)
	@echo "Installing the package and its peers"
	@$(PEERS)/bin/pip install --quiet --disable-pip-version-check \
		--editable ".[api,celery,example,postgres]" --requirement benchmarks/peers.txt
	@touch $@

$(VENV)/floor.txt: setup.cfg tests/floor.py $(VENV)/.with-dev
	@$(BIN)/python -m tests.floor > $@

# .with-test,postgres: the package as it lies here, with these extras; again when setup.cfg has changed.
$(VENV)/.with-%: setup.cfg | $(BIN)/python
	@echo "Installing the package with its extras: $*"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@
