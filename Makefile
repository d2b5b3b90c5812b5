# Everything that users and developers type. Needs Python 3.11 or newer and make; from GNU make 3.81 and bash 3.2 on,
# which macOS has. What runs the service itself needs Linux.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
INTERPRETER = $(PYTHON)
RUN_VENV := .venv-run
VENV := .venv
SAM_VENV := .venv-sam
AWS_VENV := .venv-aws
LAMBDA_VENV := .venv-lambda
CHECKOV_VENV := .venv-checkov
MUTATION_VENV := .venv-mutation
CLIENTS_VENV := .local/clients/python
BIN := $(VENV)/bin
# The makefiles that SAM runs get a Python that has pip, which Debian's lacks, and nothing of what was said to this one.
SAM := MAKEFLAGS= SAM_CLI_TELEMETRY=0 PYTHON=$(CURDIR)/$(SAM_VENV)/bin/python $(SAM_VENV)/bin/sam
AUDIO ?=
ARCHITECTURE ?=
LAYER ?=
CONFIG ?= default
# Tests keep one core busy, or wait: so one process more than there are cores, and the longest files first.
PYTEST = $(BIN)/pytest --numprocesses=$(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --no-loadscope-reorder

export PYTHONDONTWRITEBYTECODE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# $(call on_linux,WHAT): say at once what cannot work elsewhere.
on_linux = [ "$$(uname -s)" = Linux ] || { \
	echo "$(1) needs Linux: a virtual machine, a container or WSL. \`make deploy\` works here: docs/deploy.md" >&2; exit 1; }

# $(call packages,PROGRAMS,OTHERWISE): install Debian's packages of those programs that are missing, if root may; else the
# shell commands OTHERWISE decide what that means, and $$missing has the packages. A program is its command, or
# COMMAND=PACKAGE or COMMAND=PACKAGE:PACKAGE where Debian calls it otherwise.
packages = missing=; for program in $(1); do \
		command -v $${program%%=*} >/dev/null || { package=$${program\#*=}; missing="$$missing $${package//:/ }"; }; done; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing$$missing ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq -y --no-install-recommends $$missing >/dev/null || exit 1; \
	else $(2); fi

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^\#\#@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

##@ Use

.PHONY: run
run: ## the main job once, from nothing: make run AUDIO=song.flac
	@$(call on_linux,make run)
	@$(MAKE) --no-print-directory -j3 ready
	@$(RUN_VENV)/bin/python -m local run $(if $(value AUDIO),-- '$(subst ','\'',$(value AUDIO))')

.PHONY: serve
serve: ## the same stack, kept up until Ctrl-C; CONTAINERS=yes lets `sam local` in
	@$(call on_linux,make serve)
	@$(MAKE) --no-print-directory -j3 ready
	@$(RUN_VENV)/bin/python -m local serve $(SERVE_OPTIONS) $(if $(CONTAINERS),--containers $(filter-out yes,$(CONTAINERS)))

# What is used is compiled once, and not into the folders of the sources.
run serve functions-and-libraries: export PYTHONDONTWRITEBYTECODE :=
run serve functions-and-libraries: export PYTHONPYCACHEPREFIX := $(CURDIR)/.local/pycache

# What both take the longest for, side by side: packages and what is built with them, and the ffmpeg layer.
.PHONY: ready functions-and-libraries shared-layer
ready: functions-and-libraries layer
functions-and-libraries: $(RUN_VENV)/installed shared-layer
	@$(RUN_VENV)/bin/python -m local build

# It needs pip and none of the packages, so it goes on beside their installation.
shared-layer: $(RUN_VENV)/bin/pip
	@$(OWN_BYTECODE) $(RUN_VENV)/bin/python -m local.artefacts SharedLayer layers/shared .local/build

.PHONY: aws
aws: $(AWS_VENV)/installed ## the aws CLI, for those who have none, where `source .local/env` finds it

##@ Operate, in your AWS account

.PHONY: deploy
deploy: $(SAM_VENV)/installed ## a few questions, sam build, sam deploy; LAYER=ffmpeg-layer-x86_64.zip compiles nothing
	@$(SAM_VENV)/bin/python -m operate.deploy_questions $(CONFIG)
	@$(SAM_VENV)/bin/python -m operate.preflight $(CONFIG)
	$(FFMPEG_LAYER) $(SAM) build --config-env $(CONFIG)
	$(SAM) deploy --config-env $(CONFIG) $$([ -t 0 ] || echo --no-confirm-changeset)

.PHONY: build
build: $(SAM_VENV)/installed ## sam build; make build ARCHITECTURE=arm64 for Graviton
	$(FFMPEG_LAYER) $(SAM) build --config-env $(CONFIG) $(if $(ARCHITECTURE),--parameter-overrides Architecture=$(ARCHITECTURE))

FFMPEG_LAYER = $(if $(LAYER),FFMPEG_LAYER_ZIP='$(abspath $(LAYER))')

.PHONY: layer-zips
layer-zips: ## the ffmpeg layer for both processors: build/ffmpeg-layer-*.zip
	@set -e; for arch in x86_64 arm64; do \
		rm -rf build/layer-$$arch; mkdir -p build/layer-$$arch; \
		$(MAKE) --no-print-directory --directory layers/ffmpeg --makefile $$arch/Makefile \
			build-FfmpegLayer ARTIFACTS_DIR=$(CURDIR)/build/layer-$$arch; \
		(cd build/layer-$$arch && rm -f ../ffmpeg-layer-$$arch.zip && \
			$(PYTHON) -m zipfile --create ../ffmpeg-layer-$$arch.zip bin share); \
	done; ls -l build/*.zip

.PHONY: verify
verify: $(VENV)/installed ## prove that a deployed stack works: make verify STACK=audio-resampler REGION=eu-central-1
	@$(BIN)/python -m operate.verify $(STACK) $(if $(REGION),--region $(REGION))

.PHONY: release
release: $(SAM_VENV)/installed layer-zips ## what a release attaches: build/release
	@rm -rf build/release
	@set -e; for arch in x86_64 arm64; do \
		FFMPEG_LAYER_ZIP=$(CURDIR)/build/ffmpeg-layer-$$arch.zip $(SAM) build \
			--parameter-overrides Architecture=$$arch --build-dir build/stack-$$arch; \
	done
	@$(SAM_VENV)/bin/python -m operate.release build/release x86_64=build/stack-x86_64 arm64=build/stack-arm64

.PHONY: redrive
redrive: $(RUN_VENV)/installed ## send again what failed by our fault: make redrive STACK=audio-resampler REGION=eu-central-1 DRY_RUN=yes
	@$(RUN_VENV)/bin/python -m operate.redrive $(STACK) $(if $(REGION),--region $(REGION)) $(if $(DRY_RUN),--dry-run)

##@ Develop

.PHONY: check
check: $(VENV)/installed ## format, lint, types, template, unit tests: seconds
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/cfn-lint template.yaml
	$(PYTEST) tests/unit

.PHONY: test
test: check artefacts $(RUN_VENV)/installed $(LAMBDA_VENV)/installed $(CHECKOV_VENV)/installed emulator-arm64 clients more-clients encoders uppy ## everything that CI runs
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
	@du -sh .aws-sam/build/*/ .aws-sam/arm64/build/*/

# What runs the arm64 programs in the tests.
.PHONY: emulator-arm64
emulator-arm64:
	@[ "$$(uname -m)" = aarch64 ] || command -v qemu-aarch64-static >/dev/null || { \
		$(call packages,qemu-aarch64=qemu-user,echo "qemu is missing; please type: sudo apt-get install$$missing" >&2; exit 1); }

# What tests run from Debian: browsers for the page, upload clients, what gets more of them, and MP3 decoders as judges.
CLIENTS := chromium firefox-esr curl wget aria2c=aria2 npm rclone s3cmd mpg123 mp3val lame
.PHONY: clients
clients:
	@$(call packages,$(CLIENTS),echo "Tests that need what is missing will be skipped; please type: sudo apt-get install$$missing" >&2)

# Clients of docs/clients.md that Debian lacks, from PyPI and npm.
.PHONY: more-clients
more-clients: $(CLIENTS_VENV)/installed .local/clients/node_modules

.local/clients/node_modules: tests/e2e/clients/package-lock.json
	@mkdir -p $(@D); rm -rf $@; cp tests/e2e/clients/package*.json $(@D)
	@if command -v npm >/dev/null; then npm ci --silent --ignore-scripts --prefix $(@D) && touch $@; \
	else echo "npm is missing: the test with the SDK for JavaScript will be skipped" >&2; fi

.PHONY: test-clients
test-clients: $(VENV)/installed $(RUN_VENV)/installed clients more-clients uppy ## every client of docs/clients.md, as documented
	$(PYTEST) tests/e2e/test_clients.py tests/e2e/test_readme_session.py tests/e2e/test_example_client.py tests/e2e/test_page_uppy.py

# Encoders of formats that ffmpeg only decodes: Musepack and Speex.
ENCODERS := mpcenc=musepack-tools speexenc=speex
.PHONY: encoders
encoders:
	@$(call packages,$(ENCODERS),echo "Tests that need what is missing will be skipped; please type: sudo apt-get install$$missing" >&2)

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

MUTATE = $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) \
	$(if $(TESTS),--tests $(TESTS)) $(if $(AGAIN),--again) --python $(BIN)/python
.PHONY: mutate
mutate: $(VENV)/installed $(MUTATION_VENV)/installed ## do the tests notice small changes? SAMPLE=60 SEED=1 MINUTES=30 FILES=... TESTS=... AGAIN=1
	@nice $(MUTATION_VENV)/bin/python -m tests.mutation $(FILES) $(MUTATE)

.PHONY: test-sam-local
test-sam-local: $(VENV)/installed $(SAM_VENV)/installed ## `sam local` in containers, without Docker: root on Debian
	@$(call packages,podman runc mmdebstrap,echo "please type: sudo apt-get install$$missing" >&2; exit 1)
	$(SAM) build --cached
	$(BIN)/python -m tests.sam_local

.PHONY: test-container
test-container: $(VENV)/installed ## the Dockerfile's image; make deploy, run and serve in it: root on Debian, with podman
	@$(call packages,podman runc mmdebstrap,echo "please type: sudo apt-get install$$missing" >&2; exit 1)
	$(BIN)/python -m tests.container

# What the comparison takes from Debian: another converter, and a voice for the recordings.
BENCH_PROGRAMS := sox=sox:libsox-fmt-mp3 espeak-ng
.PHONY: bench
bench: $(VENV)/installed ## side by side with ffmpeg, SoX and pydub: table and JSON; make bench CASES=clips for a part
	@$(call packages,$(BENCH_PROGRAMS),echo "please type for all of it: sudo apt-get install$$missing" >&2)
	@$(BIN)/python -m tests.bench $(CASES)

.PHONY: bench-jobs
bench-jobs: $(VENV)/installed $(AWS_VENV)/installed ## a job's whole way on the embedded AWS, against ffmpeg and the aws CLI by hand
	@$(BIN)/python -m tests.bench.whole_way $(CASES)

.PHONY: bench-costs
bench-costs: $(VENV)/installed ## what a conversion takes and costs by MemorySize, in control groups: root
	@PYTHONPATH=layers/shared $(BIN)/python -m tests.bench.costs $(CASES)

.PHONY: layer
layer: ## the ffmpeg layer, from source, cached
	@$(MAKE) --no-print-directory -C layers/ffmpeg bin-dir

.PHONY: openapi
openapi: $(VENV)/installed ## docs/openapi.yaml and docs/api.md, from the code
	@$(BIN)/python docs/openapi.py

.PHONY: lock
lock: $(VENV)/installed ## pin the newest allowed versions again; UPGRADE= for what is new in pyproject.toml alone
	$(BIN)/python -m pip install --quiet --quiet uv
	$(BIN)/uv pip compile $(LOCK) layers/shared/requirements.in --output-file layers/shared/requirements.txt
	$(BIN)/uv pip compile $(LOCK) --group dev --constraint layers/shared/requirements.txt --output-file requirements.lock
	$(BIN)/uv pip compile $(LOCK) --group run --constraint requirements.lock --output-file requirements-run.lock
	$(BIN)/uv pip compile $(LOCK) --group aws --output-file requirements-aws.lock
	$(BIN)/uv pip compile $(LOCK) --group sam --output-file requirements-sam.lock
	$(BIN)/uv pip compile $(LOCK) --group lambda --output-file requirements-lambda.lock
	$(BIN)/uv pip compile $(LOCK) --group checkov --output-file requirements-checkov.lock
	$(BIN)/uv pip compile $(LOCK) --group mutation --output-file requirements-mutation.lock
	$(BIN)/uv pip compile $(LOCK) --group clients --output-file requirements-clients.lock

UPGRADE = --upgrade
LOCK = --quiet $(UPGRADE) --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock"

.PHONY: clean
clean: ## remove what was installed and built here
	rm -rf $(RUN_VENV) $(VENV) $(SAM_VENV) $(AWS_VENV) $(LAMBDA_VENV) $(CHECKOV_VENV) $(MUTATION_VENV) .aws-sam .local .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(RUN_VENV)/bin/pip $(RUN_VENV)/installed: requirements-run.lock
$(VENV)/bin/pip $(VENV)/installed: requirements.lock
$(SAM_VENV)/bin/pip $(SAM_VENV)/installed: requirements-sam.lock
$(AWS_VENV)/bin/pip $(AWS_VENV)/installed: requirements-aws.lock
$(LAMBDA_VENV)/bin/pip $(LAMBDA_VENV)/installed: requirements-lambda.lock
$(CHECKOV_VENV)/bin/pip $(CHECKOV_VENV)/installed: requirements-checkov.lock
$(MUTATION_VENV)/bin/pip $(MUTATION_VENV)/installed: requirements-mutation.lock
$(CLIENTS_VENV)/bin/pip $(CLIENTS_VENV)/installed: requirements-clients.lock
# Most of what is in them is never imported.
$(RUN_VENV)/installed $(AWS_VENV)/installed $(CHECKOV_VENV)/installed: NO_COMPILE := --no-compile
# Lambda's Python where this machine has it; a name on PATH may be no more than a signpost to a version manager.
$(LAMBDA_VENV)/bin/pip: INTERPRETER = $(firstword $(shell \
	for python in python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13.*/bin/python3.13; do \
		"$$python" -c '' 2>/dev/null && echo "$$python"; done) $(PYTHON))

# pip is compiled where it is installed, and not once more for `make run`.
OWN_BYTECODE := PYTHONPYCACHEPREFIX=

# `python3 -m venv` lacks pip on a fresh Debian, where it is a package of its own. uv, where it is there and works, is faster.
%/bin/pip:
	@$(INTERPRETER) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed, and $(INTERPRETER) is $$($(INTERPRETER) --version 2>&1). Install one" \
			"(sudo apt-get install python3, sudo dnf install python3.13, brew install python@3.13)" \
			"and name it: make ... PYTHON=python3.13" >&2; exit 1; }
	@$(INTERPRETER) -c 'import ensurepip, venv' 2>/dev/null || { \
		$(call packages,no-such-command=python3-venv,echo "python3-venv is missing; please type: sudo apt-get install$$missing" >&2; exit 1); }
	@echo "Installing $(filter %.lock,$^) into $* ..."
	@rm -rf $*
	@if command -v uv >/dev/null && uv venv --quiet --seed --python $(INTERPRETER) $* 2>/dev/null; then :; else \
		rm -rf $* && $(INTERPRETER) -m venv $*; fi

# An installation that was interrupted is made whole: what it left is written again (--ignore-installed).
%/installed: %/bin/pip
	@if command -v uv >/dev/null && uv pip install --quiet --python $(@D)/bin/python --no-deps --require-hashes \
		--requirement $(filter %.lock,$^) 2>/dev/null; then :; else \
		$(OWN_BYTECODE) $(@D)/bin/python -m pip install --quiet --quiet --no-deps --require-hashes --ignore-installed \
			$(NO_COMPILE) --requirement $(filter %.lock,$^); fi
	@touch $@
