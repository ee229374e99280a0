# Everything that a developer types. `make help` lists it; each target says in one line what it does.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON := .venv/bin/python
NODES ?= 1

.PHONY: help
help: ## list every target
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z][a-z0-9-]*:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ the environment

.PHONY: venv
venv: ## make .venv with the locked packages (done by the other targets when it is needed)
	@tests/bootstrap.sh

##@ the cluster under the tests

.PHONY: cluster-up
cluster-up: venv ## bring up a real Kubernetes cluster, or find it up (NODES=2: two nodes)
	@$(PYTHON) -m tests.cluster up --nodes $(NODES)

.PHONY: cluster-down
cluster-down: venv ## take the cluster away, and the Docker engine if it is our own
	@$(PYTHON) -m tests.cluster down --engine

.PHONY: cluster-status
cluster-status: venv ## say what is up, and how to look around
	@$(PYTHON) -m tests.cluster status || true

##@ see it work

.PHONY: demo
demo: venv ## the main job on a real Kubernetes cluster: install, back up, drop, restore; leaves the cluster up
	@$(PYTHON) -m tests.demo cluster

.PHONY: demo-cli
demo-cli: venv ## the same story without a cluster, in about a minute (embedded PostgreSQL 18)
	@$(PYTHON) -m tests.demo cli

##@ prove it

.PHONY: test
test: lint ## every check: lint, types, architecture, then unit, integration and e2e tests
	@$(PYTHON) -m pytest --numprocesses 3

.PHONY: lint
lint: venv ## ruff, mypy --strict, import contracts
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

.PHONY: test-unit
test-unit: venv ## the tests that need neither servers nor a cluster
	@$(PYTHON) -m pytest tests/unit

.PHONY: test-integration
test-integration: venv ## the tests on real database servers in containers
	@$(PYTHON) -m pytest tests/integration

.PHONY: test-e2e
test-e2e: venv ## the tests on the real cluster
	@$(PYTHON) -m pytest tests/contract tests/e2e

.PHONY: bench
bench: venv ## measure dumps against the client into /dev/null, gzip, pigz, zstd and igzip (BENCH="dump --megabytes 300")
	@$(PYTHON) -m bench $(BENCH)

##@ change it

.PHONY: images
images: venv ## build the operator's and the dumper's image
	@$(PYTHON) -m tests.images operator dumper

.PHONY: generate
generate: venv ## make crds/, the chart's copy of them and install.yaml from the models
	@$(PYTHON) -m tests.tools.generate

.PHONY: format
format: venv ## let ruff order and format the code
	@.venv/bin/ruff check --fix --quiet . || true
	@.venv/bin/ruff format --quiet .

.PHONY: lock
lock: venv ## resolve requirements/*.lock anew
	@tests/tools/lock.sh

##@ clean up

.PHONY: clean
clean: ## take the cluster away and remove what was made in this checkout (the cache of compiled parts stays)
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m tests.cluster down --engine; fi
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: clean-cache
clean-cache: clean ## also remove the cache: compiled Kubernetes, images (the next start is a cold one)
	@tests/tools/clean-cache.sh
