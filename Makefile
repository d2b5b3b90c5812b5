# Everything that users and developers type. Needs Python 3.11 or newer and make, on Linux.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
INTERPRETER = $(PYTHON)
VENV := .venv
SAM_VENV := .venv-sam
LAMBDA_VENV := .venv-lambda
CHECKOV_VENV := .venv-checkov
BIN := $(VENV)/bin
SAM := SAM_CLI_TELEMETRY=0 $(SAM_VENV)/bin/sam
AUDIO ?=
ARCHITECTURE ?=
CONFIG ?= default
# Tests keep one core busy, or wait: so one process more than there are cores, and the longest files first.
PYTEST = $(BIN)/pytest --numprocesses=$(shell expr $$(nproc) + 1) --no-loadscope-reorder

export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/installed ## the main job once, from nothing: make run AUDIO=song.flac
	@$(BIN)/python -m local run $(if $(value AUDIO),-- '$(subst ','\'',$(value AUDIO))')

.PHONY: serve
serve: $(VENV)/installed ## the same stack, kept up until Ctrl-C; CONTAINERS=yes lets `sam local` in
	@$(BIN)/python -m local serve $(if $(CONTAINERS),--containers $(filter-out yes,$(CONTAINERS)))

.PHONY: check
check: $(VENV)/installed ## format, lint, types, template, unit tests: seconds
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/cfn-lint template.yaml
	$(PYTEST) tests/unit

.PHONY: test
test: check artefacts $(LAMBDA_VENV)/installed $(CHECKOV_VENV)/installed emulator-arm64 clients uppy ## everything that CI runs
	$(PYTEST) tests/e2e tests/runtime tests/integration

.PHONY: checkov
checkov: $(CHECKOV_VENV)/installed ## security checks of the template; exceptions and reasons in .checkov.yaml
	CKV_SKIP_PACKAGE_UPDATE_CHECK=true $(CHECKOV_VENV)/bin/checkov --config-file .checkov.yaml

# sam build for both processors: .aws-sam/build and .aws-sam/arm64/build.
.PHONY: artefacts
artefacts: $(SAM_VENV)/installed
	$(SAM) validate --lint
	$(SAM) build --cached --parameter-overrides Architecture=x86_64
	$(SAM) build --cached --parameter-overrides Architecture=arm64 \
		--build-dir .aws-sam/arm64/build --cache-dir .aws-sam/arm64/cache
	$(SAM) validate --lint --template-file .aws-sam/arm64/build/template.yaml
	@du --apparent-size --human-readable --summarize .aws-sam/build/*/ .aws-sam/arm64/build/*/

# What runs the arm64 programs in the tests.
.PHONY: emulator-arm64
emulator-arm64:
	@[ "$$(uname -m)" = aarch64 ] || command -v qemu-aarch64-static qemu-aarch64 >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing qemu-user ..."; apt-get update -qq && apt-get install -qq -y --no-install-recommends qemu-user >/dev/null; \
		else echo "qemu is missing; please type: sudo apt-get install qemu-user" >&2; exit 1; fi; }

# What tests run from Debian: a browser for the page, upload clients, and other people's MP3 decoders as judges.
CLIENTS := chromium curl wget rclone s3cmd mpg123 mp3val lame
.PHONY: clients
clients:
	@command -v $(CLIENTS) | wc -l | grep -qx $(words $(CLIENTS)) || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing $(CLIENTS) ..."; apt-get update -qq && apt-get install -qq -y --no-install-recommends $(CLIENTS) >/dev/null; \
		else echo "Tests that need these will be skipped where they are missing; please type: sudo apt-get install $(CLIENTS)" >&2; fi; }

# The upload widget that the tests drive; without npm its test is skipped.
UPPY := 6.0.1
.PHONY: uppy
uppy: .local/uppy/$(UPPY)
.local/uppy/$(UPPY):
	@rm -rf $(@D); mkdir -p $(@D)
	@if command -v npm >/dev/null; then \
		echo "Getting Uppy $(UPPY) ..."; cd $(@D) && npm pack --silent uppy@$(UPPY) >/dev/null && tar -xzf uppy-$(UPPY).tgz package/dist && touch $(UPPY); \
	else echo "npm is missing: the test with Uppy will be skipped" >&2; fi

.PHONY: test-long
test-long: $(VENV)/installed ## the tests with minutes and hours of audio
	$(BIN)/pytest tests -m long -o addopts="--strict-markers -ra"

.PHONY: test-sam-local
test-sam-local: $(VENV)/installed $(SAM_VENV)/installed ## `sam local` in containers, without Docker: root on Debian
	@commands=(podman runc mmdebstrap); \
	command -v "$${commands[@]}" | wc -l | grep -qx "$${#commands[@]}" || { \
		echo "Installing $${commands[*]} ..."; apt-get update -qq && apt-get install -qq -y --no-install-recommends "$${commands[@]}" >/dev/null; }
	$(SAM) build --cached
	$(BIN)/python -m tests.sam_local

# What the comparison takes from Debian: another converter, and a voice for the recordings.
BENCH_PROGRAMS := sox espeak-ng
.PHONY: bench
bench: $(VENV)/installed ## side by side with ffmpeg, SoX and pydub: table and JSON; make bench CASES=clips for a part
	@{ command -v $(BENCH_PROGRAMS) | wc -l | grep -qx $(words $(BENCH_PROGRAMS)) && sox --help | grep -qw mp3; } || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing $(BENCH_PROGRAMS) ..."; apt-get update -qq && apt-get install -qq -y --no-install-recommends $(BENCH_PROGRAMS) libsox-fmt-mp3 >/dev/null; \
		else echo "For all of it, please type: sudo apt-get install $(BENCH_PROGRAMS) libsox-fmt-mp3" >&2; fi; }
	@$(BIN)/python -m tests.bench $(CASES)

.PHONY: bench-costs
bench-costs: $(VENV)/installed ## what a conversion takes and costs by MemorySize, in control groups: root
	@PYTHONPATH=layers/shared $(BIN)/python -m tests.bench.costs $(CASES)

.PHONY: layer
layer: ## the ffmpeg layer, from source, cached
	@$(MAKE) --no-print-directory -C layers/ffmpeg bin-dir

.PHONY: layer-zips
layer-zips: ## the ffmpeg layer for both processors, to publish by hand: build/ffmpeg-layer-*.zip
	@for arch in x86_64 arm64; do \
		rm -rf build/layer-$$arch; mkdir -p build/layer-$$arch; \
		$(MAKE) --no-print-directory --directory layers/ffmpeg --makefile $$arch/Makefile \
			build-FfmpegLayer ARTIFACTS_DIR=$(CURDIR)/build/layer-$$arch; \
		(cd build/layer-$$arch && $(PYTHON) -m zipfile --create ../ffmpeg-layer-$$arch.zip bin share); \
	done; ls -l build/*.zip

.PHONY: build
build: $(SAM_VENV)/installed ## sam build; make build ARCHITECTURE=arm64 for Graviton
	$(SAM) build --config-env $(CONFIG) $(if $(ARCHITECTURE),--parameter-overrides Architecture=$(ARCHITECTURE))

.PHONY: deploy
deploy: $(SAM_VENV)/installed ## a few questions, sam build, sam deploy; CONFIG=prod for the other environment
	@$(SAM_VENV)/bin/python -m operate.deploy_questions $(CONFIG)
	$(SAM) build --config-env $(CONFIG)
	$(SAM) deploy --config-env $(CONFIG)

.PHONY: redrive
redrive: $(VENV)/installed ## what failed by our fault is sent again: make redrive STACK=audio-resampler DRY_RUN=yes
	@$(BIN)/python -m operate.redrive $(STACK) $(if $(DRY_RUN),--dry-run)

.PHONY: openapi
openapi: $(VENV)/installed ## docs/openapi.yaml and docs/api.md, from the code
	@$(BIN)/python docs/openapi.py

.PHONY: lock
lock: $(VENV)/installed ## pin the newest allowed versions again
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile $(LOCK) layers/shared/requirements.in --output-file layers/shared/requirements.txt
	$(BIN)/uv pip compile $(LOCK) --group dev --constraint layers/shared/requirements.txt --output-file requirements.lock
	$(BIN)/uv pip compile $(LOCK) --group sam --output-file requirements-sam.lock
	$(BIN)/uv pip compile $(LOCK) --group lambda --output-file requirements-lambda.lock
	$(BIN)/uv pip compile $(LOCK) --group checkov --output-file requirements-checkov.lock

LOCK = --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock"

.PHONY: clean
clean: ## remove what was installed and built here
	rm -rf $(VENV) $(SAM_VENV) $(LAMBDA_VENV) $(CHECKOV_VENV) .aws-sam .local .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/installed: requirements.lock
$(SAM_VENV)/installed: requirements-sam.lock
$(LAMBDA_VENV)/installed: requirements-lambda.lock
$(CHECKOV_VENV)/installed: requirements-checkov.lock
# It runs once or twice, and compiling its 290 MB takes longer than that.
$(CHECKOV_VENV)/installed: export PIP_NO_COMPILE := 1
# Lambda's Python where this machine has it; a name on PATH may be no more than a signpost to a version manager.
$(LAMBDA_VENV)/installed: INTERPRETER = $(firstword $(shell \
	for python in python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13.*/bin/python3.13; do \
		"$$python" -c '' 2>/dev/null && echo "$$python"; done) $(PYTHON))

# `python3 -m venv` lacks pip on a fresh Debian, where it is a package of its own.
%/installed:
	@$(INTERPRETER) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed, and $(INTERPRETER) is $$($(INTERPRETER) --version)" >&2; exit 1; }
	@$(INTERPRETER) -c 'import ensurepip, venv' 2>/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing python3-venv ..."; apt-get update -qq && apt-get install -qq -y python3-venv >/dev/null; \
		else echo "python3-venv is missing; please type: sudo apt-get install python3-venv" >&2; exit 1; fi; }
	@echo "Installing $< into $(@D) ..."
	@rm -rf $(@D)
	@$(INTERPRETER) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	@touch $@
