# Every command of the house. `make help` shows them; `make check` is what CI runs beside `make test`.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run demo test simulate soak mutants conformance acceptance check bench rehearse generate accept build clean lock format \
	check-code check-types check-imports check-template check-fresh check-meta

PYTHON ?= python3
STORY ?=
WORKERS ?= 2
JOBS ?= 2
SEEDS ?= 20000
DEPTH ?= 2
ARGS ?=
PLANT ?=
EACH ?=
BACKEND ?=

BIN := .venv/bin
SAM := .venv-sam/bin/sam
export PYTHONPATH := shared:.
export SAM_CLI_TELEMETRY := 0
export AWS_DEFAULT_REGION ?= us-east-1

help: ## this page
	@echo "Tieout: every event ties out. make <command>:"
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' Makefile
	@echo "The first one sets up .venv from requirements-dev.lock; PYTHON=python3.13 picks another Python (3.11 to 3.13)."

run: .venv/.ready ## the local world and a short story; STORY=none starts it empty
	$(BIN)/python -m infra.local run $(if $(STORY),--story $(STORY)) $(ARGS)

demo: .venv/.ready ## the same without a desk at the end: exits 0 only if everything ties out
	$(BIN)/python -m infra.local demo $(if $(STORY),--story $(STORY)) $(ARGS)

test: .venv/.ready ## every test; ARGS="-k lane tests/unit" picks some
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

simulate: .venv/.ready ## every schedule of two faults (DEPTH=3: three in the core), then 20,000 seeded histories; SEEDS=1000, JOBS=2
	$(BIN)/python -m tests.simulation exhaustive --jobs $(JOBS) --depth $(DEPTH)
	$(BIN)/python -m tests.simulation run --jobs $(JOBS) --seeds $(SEEDS) $(ARGS)

soak: .venv/.ready ## a six-hour outage of the ERP at 50 events a second, in virtual time; ARGS="--scale 0.1" a tenth
	$(BIN)/python -m tests.simulation soak $(ARGS)

mutants: .venv/.ready ## hunts each kept reliability bug with the simulation; SEEDS=400 for a short hunt
	$(BIN)/python -m tests.simulation.mutants --jobs $(JOBS) --seeds $(SEEDS) $(ARGS)

conformance: .venv/.ready .venv-acceptance/.ready ## asks a second AWS (MiniStack, on loopback) what the local one is asked: docs/conformance.md
	$(BIN)/python -m tests.conformance

acceptance: .venv/.ready .venv-sam/.ready .venv-acceptance/.ready ## sam build and deploy into MiniStack with IAM on, the demo's story on it; PLANT=PostRole:sqs:SendMessage must end red
	$(BIN)/python -m infra.acceptance $(if $(PLANT),--without $(PLANT)) $(if $(EACH),--each $(EACH))

check: check-code check-types check-imports check-template check-fresh check-meta ## lint, types, import law, template, derived files, house rules
	@echo "check: all clean"

bench: .venv/.ready ## counts against the budgets: modules at INIT, AWS calls, package size, dollars per million
	BENCH=1 $(BIN)/python -m pytest -p no:xdist -s tests/bench $(ARGS)

rehearse: .venv/.ready .venv-rehearse/.ready ## signed events through the whole product into a real Tryton, both books to the cent
	$(BIN)/python -m infra.rehearse $(if $(BACKEND),--backend $(BACKEND)) $(ARGS)

generate: .venv/.ready ## writes what is derived: state machines, the derived blocks of template.yaml, docs
	$(BIN)/python -m infra.generate
	$(BIN)/python -m tests.conformance page

accept: .venv/.ready ## rewrites what the mapping examples expect; the diff is the review; ARGS="--turn" also where what made something stops
	$(BIN)/python -m infra.accept $(ARGS)

build: .venv/.ready .venv-sam/.ready ## packages functions and layer with sam build, and says how large they are
	PATH="$(CURDIR)/$(BIN):$$PATH" PYTHON="$(CURDIR)/$(BIN)/python" $(SAM) build $(ARGS)
	@$(BIN)/python -m infra.package_size .aws-sam/build

format: .venv/.ready ## ruff puts imports and lines in order
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock: .venv/.ready ## resolves the locks anew from pyproject.toml (needs uv and a package registry)
	@command -v uv >/dev/null || { echo "make lock needs uv"; exit 1; }
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" \
		--extra dev pyproject.toml --output-file requirements-dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" \
		--constraint requirements-dev.lock pyproject.toml --output-file shared/requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" \
		requirements-sam.in --output-file requirements-sam.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" \
		requirements-acceptance.in --output-file requirements-acceptance.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" \
		requirements-rehearse.in --output-file requirements-rehearse.lock
	echo "pip>=25,<27" | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --allow-unsafe \
		--custom-compile-command "make lock" - --output-file requirements-pip.lock

clean: ## removes what was built and cached, environments included
	rm -rf .venv .venv-sam .venv-rehearse .venv-acceptance .aws-sam .build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the parts of check, each runs alone too ------------------------------------------------------------------------

check-code: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-types: .venv/.ready
	$(BIN)/mypy --strict

check-imports: .venv/.ready
	$(BIN)/lint-imports

check-template: .venv/.ready .venv-sam/.ready
	mkdir -p .build
	$(BIN)/python -m infra.expand > .build/expanded.json
	$(BIN)/cfn-lint --append-rules infra/lint -- template.yaml .build/expanded.json
	$(SAM) validate
	$(SAM) validate --lint

check-fresh: .venv/.ready
	$(BIN)/python -m infra.generate --check

check-meta: .venv/.ready
	$(BIN)/python -m pytest -q tests/meta

# --- the environments, from their locks -----------------------------------------------------------------------------

# $(1): environment, $(2): lock. With uv on PATH it takes seconds, with pip about a minute.
define environment
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 11) <= v < (3, 14) and \
		f"Tieout needs Python 3.11 to 3.13, and $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.13 ...")'
	@echo "Setting up $(1) from $(2) ..."
	@if command -v uv >/dev/null; then \
		{ [ -x $(1)/bin/python ] || uv venv --quiet --seed --python "$$(command -v $(PYTHON))" $(1); } && \
		uv pip install --quiet --python $(1)/bin/python --require-hashes --requirement $(2); \
	else \
		{ [ -x $(1)/bin/python ] || $(PYTHON) -m venv $(1); } && \
		$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --requirement requirements-pip.lock && \
		$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-compile --require-hashes --requirement $(2); \
	fi
endef

.venv/.ready: requirements-dev.lock pyproject.toml
	$(call environment,.venv,requirements-dev.lock)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation --editable .
	@touch $@

.venv-sam/.ready: requirements-sam.lock
	$(call environment,.venv-sam,requirements-sam.lock)
	@touch $@

.venv-acceptance/.ready: requirements-acceptance.lock
	$(call environment,.venv-acceptance,requirements-acceptance.lock)
	@touch $@

.venv-rehearse/.ready: requirements-rehearse.lock
	$(call environment,.venv-rehearse,requirements-rehearse.lock)
	@touch $@
