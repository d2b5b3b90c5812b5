# Everything that users and developers type. Needs Python 3.11 or newer and make, on Linux.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
SAM_VENV := .venv-sam
BIN := $(VENV)/bin
SAM := SAM_CLI_TELEMETRY=0 $(SAM_VENV)/bin/sam
AUDIO ?=

export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/installed ## the main job once, from nothing: make run AUDIO=song.flac
	@$(BIN)/python -m local run $(if $(AUDIO),"$(AUDIO)")

.PHONY: serve
serve: $(VENV)/installed ## the same stack, kept up until Ctrl-C
	@$(BIN)/python -m local serve

.PHONY: check
check: $(VENV)/installed ## format, lint, types, template, unit tests: seconds
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/cfn-lint template.yaml
	$(BIN)/pytest tests/unit

.PHONY: test
test: check $(SAM_VENV)/installed ## everything that CI runs
	$(SAM) validate --lint
	$(SAM) build --cached
	$(BIN)/pytest tests/integration tests/e2e

.PHONY: test-long
test-long: $(VENV)/installed ## the tests with minutes and hours of audio
	$(BIN)/pytest tests -m long -o addopts="--strict-markers -ra"

.PHONY: layer
layer: ## the ffmpeg layer, from source, cached
	@$(MAKE) --no-print-directory -C layers/ffmpeg bin-dir

.PHONY: build
build: $(SAM_VENV)/installed ## sam build
	$(SAM) build

.PHONY: deploy
deploy: build ## sam deploy, with its questions
	$(SAM) deploy --guided

.PHONY: lock
lock: $(VENV)/installed ## pin the newest allowed versions again
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile $(LOCK) layers/shared/requirements.in --output-file layers/shared/requirements.txt
	$(BIN)/uv pip compile $(LOCK) --group dev --constraint layers/shared/requirements.txt --output-file requirements.lock
	$(BIN)/uv pip compile $(LOCK) --group sam --output-file requirements-sam.lock

LOCK = --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock"

.PHONY: clean
clean: ## remove what was installed and built here
	rm -rf $(VENV) $(SAM_VENV) .aws-sam .local .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/installed: requirements.lock
$(SAM_VENV)/installed: requirements-sam.lock

# `python3 -m venv` lacks pip on a fresh Debian, where it is a package of its own.
%/installed:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) --version)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing python3-venv ..."; apt-get update -qq && apt-get install -qq -y python3-venv >/dev/null; \
		else echo "python3-venv is missing; please type: sudo apt-get install python3-venv" >&2; exit 1; fi; }
	@echo "Installing $< into $(@D) ..."
	@rm -rf $(@D)
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	@touch $@
