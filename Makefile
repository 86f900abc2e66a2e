# Every command of the project. Each makes .venv, and installs there what it needs, by itself; see "make help".

PYTHON ?= python3
PORT ?= 8000
PG_URL ?= postgres://postgres@127.0.0.1:5432/postgres
MARIADB_URL ?= mysql://root@127.0.0.1:3306/test
REDIS_URL ?= redis://127.0.0.1:6379/0
OPERATIONS_URL ?= postgres://postgres@127.0.0.1:5432/paiementpro_operations
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
# The oldest and the newest, as tox environments; the Pythons of pyenv are found too.
PAIRS ?= py310-django52,py313-django61
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

export CHROMIUM PORT REDIS_URL SCREENSHOTS
.NOTPARALLEL:
.DEFAULT_GOAL := help

.PHONY: help
help:  ## list the commands
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "  make %-16s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# For everyone ---------------------------------------------------------------------------------------------------------

.PHONY: demo test browser

demo: $(VENV)/.with-example  ## run the example shop, with a gateway of its own (PORT=8000)
	@$(BIN)/python example_project/manage.py demo

test: $(VENV)/.with-test$(driver)  ## run the tests on SQLite, or on DATABASE_URL (ARGS= for pytest)
	$(BIN)/pytest $(ARGS)

browser: $(VENV)/.with-test$(driver)  ## run the tests that drive a real Chromium (CHROMIUM= its path)
	@test -x "$(CHROMIUM)" || { echo "No Chromium here: apt-get install chromium, or CHROMIUM=/path/to/it" >&2; exit 1; }
	$(BIN)/pytest -m browser $(ARGS)

# The pictures of the documentation, taken again when what they show has changed.
pictures := docs/_build/screenshots/taken
pictured := $(shell find django_paiementpro example_project tests/browser -type f \
	! -name '*.pyc' ! -name '*.sqlite3*' ! -name .env)

# The steps of make check, each a command of its own ------------------------------------------------------------------

.PHONY: check lint types imports migrations translations docs coverage schema postgres mariadb workers pairs build wheel

steps := lint types imports migrations translations docs coverage schema postgres mariadb workers pairs wheel browser
check: $(steps)  ## run every step below, as CI does
	@echo "All is well."

lint: $(VENV)/.with-dev  ## ruff check, ruff format --check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.with-dev  ## mypy --strict, with django-stubs
	$(on_sqlite) $(BIN)/mypy

imports: $(VENV)/.with-dev  ## the floors: imports run down only
	$(BIN)/lint-imports

migrations: $(VENV)/.with-dev  ## no model without its migration
	$(on_sqlite) $(BIN)/python -m django makemigrations --check --dry-run --settings tests.settings --pythonpath .
	cd example_project && ../$(BIN)/python manage.py makemigrations --check --dry-run

translations: $(VENV)/.with-dev  ## every text translated, every .mo compiled from its .po
	$(BIN)/python tests/translations/check.py django_paiementpro example_project

docs: $(VENV)/.with-dev $(pictures)  ## build the documentation in docs/_build, in English and French, warnings as errors
	@command -v plantuml >/dev/null || { echo "No plantuml here: apt-get install plantuml graphviz" >&2; exit 1; }
	$(BIN)/sphinx-build -q -E -W --keep-going -c docs -t en docs/en docs/_build/en
	$(BIN)/sphinx-build -q -E -W --keep-going -c docs -t fr docs/fr docs/_build/fr
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

pairs: $(VENV)/.with-dev  ## the tests on the oldest and the newest pair of Python and Django (PAIRS=)
	$(BIN)/tox run $(if $(PYENV_PYTHONS),--discover $(PYENV_PYTHONS)) -e $(PAIRS) -- $(ARGS)

build: $(VENV)/.with-dev  ## build the package, and check what an index would show of it
	rm -rf build dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

wheel: build  ## install the wheel into a fresh environment, and take a payment with it
	$(BIN)/python tests/wheel/take_a_payment.py dist/*.whl

# The rest -------------------------------------------------------------------------------------------------------------

.PHONY: screenshots docs-texts bench bench-reconcile soak clean

screenshots: $(pictures)  ## take the pictures of the documentation, with a real Chromium (CHROMIUM= its path)

$(pictures): $(pictured) | $(VENV)/.with-test
	@$(MAKE) --no-print-directory browser DATABASE_URL= \
		ARGS="tests/browser -k pictures" SCREENSHOTS=$(abspath $(dir $(pictures)))
	@touch $@

docs-texts: $(VENV)/.with-dev  ## collect what the code says and the documentation has to say in French
	$(BIN)/sphinx-build -q -E -c docs -t fr -t collect docs/fr docs/_build/fr

bench: $(PEERS)/.installed  ## measure all of it beside others: 20 minutes, one table (BENCH="--full", see CONTRIBUTING.rst)
	@command -v wrk >/dev/null || { echo "No wrk here: apt-get install wrk" >&2; exit 1; }
	$(PEERS)/bin/python -m benchmarks $(BENCH)

operations := DJANGO_SETTINGS_MODULE=benchmarks.operations OPERATIONS_URL=$(OPERATIONS_URL)

bench-reconcile: $(VENV)/.with-test,postgres  ## reconcile many payments with a gateway that takes its time (ARGS=)
	$(operations) $(BIN)/python -m benchmarks.reconcile $(ARGS)

soak: $(VENV)/.with-test,postgres $(VENV)/.with-test,mysql  ## sell with everything failing, and count what is lost (ARGS=)
	$(operations) DELIVERY=task REDIS_URL=$(REDIS_URL) $(BIN)/python -m benchmarks.soak $(ARGS)

clean:  ## remove what these commands made
	rm -rf $(VENV) $(PEERS) .tox build dist docs/_build *.egg-info .coverage .hypothesis .*_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(PEERS)/.installed: setup.cfg benchmarks/peers.txt
	$(PEERS_PYTHON) -m venv $(PEERS)
	@echo "Installing the package and its peers"
	@$(PEERS)/bin/pip install --quiet --disable-pip-version-check \
		--editable ".[api,celery,example,postgres]" --requirement benchmarks/peers.txt
	@touch $@

# .with-test,postgres: the package as it lies here, with these extras; again when setup.cfg has changed.
$(VENV)/.with-%: setup.cfg | $(BIN)/python
	@echo "Installing the package with its extras: $*"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@
