# farmctl: `make up` runs a farm on this machine, `make test` passes its tests. `make` lists all.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .make
# Pins older libraries than ours, so it has an environment of its own.
PYNQ := pynq==4.0.0
RUN_EXTRAS := train,mrt,tour,torrent,browser
NATIVE_SOURCES := $(shell find drivers/cpu/native drivers/kernels -type f -not -name '*.py*')
CORE := web/public/farmcpu.wasm
CORE_SOURCES := $(shell find drivers/cpu/native drivers/cpu/wasm drivers/kernels -maxdepth 1 -type f -not -name '*.py*')
WEB_SOURCES := $(shell find web -type f -not -path '*/node_modules/*' -not -name farmcpu.wasm 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help up tour test test-slow check format bench docs clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMPS)/venv: pyproject.toml constraints.txt
	@mkdir -p $(STAMPS)
	$(PYTHON) -c 'import sys; sys.exit("farmctl needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade -c constraints.txt pip scikit-build-core cmake ninja
	@touch $@

$(STAMPS)/run: $(STAMPS)/venv $(NATIVE_SOURCES) CMakeLists.txt
	$(BIN)/python -m pip install --quiet --no-build-isolation -c constraints.txt -e '.[$(RUN_EXTRAS)]'
	@touch $@

$(STAMPS)/test: $(STAMPS)/run
	$(BIN)/python -m pip install --quiet --no-build-isolation -c constraints.txt -e '.[$(RUN_EXTRAS),test]'
	@touch $@

$(STAMPS)/bench: $(STAMPS)/run
	$(BIN)/python -m pip install --quiet --no-build-isolation -c constraints.txt -e '.[$(RUN_EXTRAS),bench]'
	@touch $@

$(CORE): $(CORE_SOURCES) | $(STAMPS)/run
	sh drivers/cpu/wasm/build.sh $(CURDIR)/$(BIN)/python

$(STAMPS)/web: $(CORE) $(WEB_SOURCES)
	@mkdir -p $(STAMPS)
	@command -v npm >/dev/null || { echo "Building the dashboard needs Node.js 20 or newer."; exit 1; }
	cd web && npm ci --loglevel=error && npm run --silent build
	@touch $@

$(STAMPS)/clients: tests/clients/package.json tests/clients/package-lock.json
	@mkdir -p $(STAMPS)
	cd tests/clients && npm ci --loglevel=error
	@touch $@

$(STAMPS)/system: tests/system_packages.sh
	@mkdir -p $(STAMPS)
	sh tests/system_packages.sh
	@touch $@

$(STAMPS)/pynq: $(STAMPS)/venv
	$(PYTHON) -m venv .venv-pynq
	.venv-pynq/bin/pip install --quiet $(PYNQ)
	@touch $@

up: $(STAMPS)/run $(STAMPS)/web  ## set up, then run the farm here; Ctrl-C stops it
	$(BIN)/farmctl up

tour: $(STAMPS)/run  ## walk the whole business on the farm that runs
	$(BIN)/farmctl tour

test: $(STAMPS)/system $(STAMPS)/test $(STAMPS)/web $(STAMPS)/clients  ## set up, then run the default test suite
	$(BIN)/python -m pytest

test-slow: $(STAMPS)/system $(STAMPS)/test $(STAMPS)/web $(STAMPS)/clients $(STAMPS)/pynq  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

check: $(STAMPS)/test  ## lint and type-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMPS)/test  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMPS)/bench  ## measure; results go to benchmarks/results/local as JSON
	$(BIN)/python -m benchmarks

docs: $(STAMPS)/run  ## write the generated pages in docs/
	$(BIN)/python docs/generate.py

clean:  ## remove what was built; data of the farm stays
	rm -rf $(VENV) .venv-pynq $(STAMPS) build web/node_modules tests/clients/node_modules farmctl/web_dist $(CORE)
