# One line per target; `make` alone lists them. PROJECT=dir names the folder of your infra.yml (default: this one).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PROJECT ?= .
override PROJECT := $(abspath $(PROJECT))
PYTHON ?= $(shell scripts/find-python)
VENV ?= .venv
ARGS ?=

ROOT := $(patsubst %/,%,$(dir $(realpath $(lastword $(MAKEFILE_LIST)))))
COLLECTIONS := $(ROOT)/.cache/collections
INVENTORY := $(PROJECT)/inventory

export PROJECT
export PATH := $(ROOT)/$(VENV)/bin:$(PATH)
export ANSIBLE_CONFIG := $(ROOT)/ansible.cfg
export ANSIBLE_COLLECTIONS_PATH := $(COLLECTIONS)
export ANSIBLE_ROLES_PATH := $(PROJECT)/roles
export ANSIBLE_HOME := $(ROOT)/.cache/ansible

# a playbook on the Incus host itself, and one on the instances of the project
local_play = ansible-playbook $(ARGS) anklume.stt.$(1)
play = ansible-playbook -i $(INVENTORY) $(ARGS) anklume.stt.$(1)

##@ First steps
.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@ / {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  \033[36mmake %-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: host
host: venv ## install and start Incus on this machine, with a storage pool, a bridge and the base image
	@$(call local_play,host)

##@ Setup (every target does what it needs by itself)
VENV_STAMP := $(VENV)/.demo
TEST_STAMP := $(VENV)/.test
COLLECTIONS_STAMP := $(COLLECTIONS)/.stamp

.PHONY: venv venv-test
venv: $(VENV_STAMP) $(COLLECTIONS_STAMP) ## Ansible and the collections it needs, in .venv and .cache
venv-test: venv $(TEST_STAMP) ## the test tools too

$(VENV_STAMP): requirements.txt requirements-uv.txt scripts/venv
	@scripts/venv $(VENV) $(PYTHON) requirements.txt
	@touch $@

$(TEST_STAMP): $(VENV_STAMP) requirements-test.txt
	@scripts/venv $(VENV) $(PYTHON) requirements.txt requirements-test.txt
	@touch $@

$(COLLECTIONS_STAMP): $(VENV_STAMP) requirements-collections.txt scripts/link_collections.py
	@rm -rf .cache/wheels/ansible && mkdir -p .cache/wheels/ansible
	@$(VENV)/bin/python -m pip download -q --disable-pip-version-check --no-deps -r requirements-collections.txt -d .cache/wheels/ansible
	@$(VENV)/bin/python scripts/link_collections.py $(COLLECTIONS) .cache/wheels/ansible/*.whl
	@touch $@

##@ Tests
.PHONY: lint sanity units
lint: venv-test ## ansible-lint, yamllint, ruff, mypy, shellcheck
	@ruff check . && ruff format --check . && yamllint --strict .
	@mypy -p ansible_collections.anklume.stt.plugins.module_utils
	@shellcheck $$(git ls-files -z --cached --others --exclude-standard | xargs -0 grep -lIE '^#!.*\b(ba)?sh\b' | sort -u)
	@ansible-lint -q
sanity: venv-test ## ansible-test sanity
	@scripts/sanity $(VENV) $(ARGS)
units: venv-test ## unit tests, with coverage
	@pytest -q --cov --cov-report=term:skip-covered $(ARGS) tests/unit
