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
	@$(PYTHON) -m tests.cluster status
