# What one needs is Python 3.11 or newer; everything else is installed into .venv from the lock.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The settings of the machine that locks (indexes, find-links) must not reach the lock.
COMPILE := env -u UV_INDEX -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS $(BIN)/uv pip compile --no-config --quiet \
	--universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

# What follows a run of tests that has failed: no matter if it found none because of ARGS.
NONE := $(if $(ARGS),[ $$? = 5 ],false)

.PHONY: help
help: ## show these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-14s %s\n", $$1, $$2 }'

.PHONY: install
install: $(STAMP) ## set up .venv from the lock (nothing to do when it is up to date)

$(STAMP): pyproject.toml requirements-dev.lock scripts/install
	@scripts/install $(VENV)
	@touch $@

.PHONY: serve
serve: $(STAMP) ## start everything: make serve ARGS="--port 8001"
	@exec $(BIN)/dspex serve $(ARGS)

.PHONY: test
test: $(STAMP) ## all tests, on two processors: unit and protocol, then cluster (ARGS="-k words": some of them)
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit tests/protocol $(ARGS) || $(NONE)
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/cluster $(ARGS) || $(NONE)

.PHONY: test-unit
test-unit: $(STAMP) ## tests without Ray and network
	$(BIN)/python -m pytest tests/unit $(ARGS)

.PHONY: test-protocol
test-protocol: $(STAMP) ## tests over real sockets and databases, without Ray
	$(BIN)/python -m pytest tests/protocol $(ARGS)

.PHONY: test-cluster
test-cluster: $(STAMP) ## tests on a real Ray, in which things get killed
	$(BIN)/python -m pytest tests/cluster $(ARGS)

.PHONY: check
check: lint test ## the gate: format, lint, types, import contracts, all tests

.PHONY: lint
lint: $(STAMP) ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(STAMP) ## write the format and the fixes that are safe
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: $(STAMP) ## throughput, failover and supervision beside their peers, neighbours, fairness, moves; tables and JSON
	$(BIN)/python -m benchmarks.throughput
	$(BIN)/python -m benchmarks.failover
	$(BIN)/python -m benchmarks.neighbours
	$(BIN)/python -m benchmarks.fairness
	$(BIN)/python -m benchmarks.moves
	$(BIN)/python -m benchmarks.supervision

.PHONY: lock
lock: $(STAMP) ## pin what pyproject.toml asks for, with hashes (ARGS=--upgrade takes the newest)
	$(COMPILE) $(ARGS) pyproject.toml --group dev -o requirements-dev.lock
	$(COMPILE) pyproject.toml -c requirements-dev.lock -o requirements.lock

.PHONY: clean
clean: ## remove caches and .venv; data folders stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
