# Two commands to begin with: `make demo` and `make test`. Everything is installed into .venv.

PYTHON ?= python3
BIN := .venv/bin

# A dozen processes start at once: compiling every library anew for each takes longer than all the rest.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv demo up down test test-vllm check lock env dashboards clean
.DEFAULT_GOAL := help

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

demo: .venv/.stamp ## analyse two recordings from end to end, then stop everything
	@$(BIN)/callytics demo

up: .venv/.stamp ## start the whole stack on this machine and leave it running
	@$(BIN)/callytics up --detach

down: .venv/.stamp ## stop it
	@$(BIN)/callytics down

test: .venv/.stamp .observability/.stamp ## run every test, in two processes; fetches model files the first time
	@$(BIN)/callytics models fetch
	@$(BIN)/pytest -q -n 2 --no-loadscope-reorder tests/e2e tests/unit tests/integration tests/contract

test-vllm: .venv/.stamp .venv-vllm/.stamp ## run the chat port against a real vLLM (installs 3.4 GB)
	@$(BIN)/callytics models fetch qwen2.5-coder-0.5b-instruct-q4_k_m
	@$(BIN)/pytest -q tests/vllm

check: .venv/.stamp ## run the linters and the type checker
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

venv: .venv/.stamp ## make .venv

.venv/.stamp: requirements.lock pyproject.toml deploy/venv.sh
	@PYTHON=$(PYTHON) deploy/venv.sh install
	@touch $@

.venv-vllm/.stamp: deploy/vllm.sh
	@PYTHON=$(PYTHON) deploy/vllm.sh
	@touch $@

.observability/.stamp: deploy/observability.sh
	@deploy/observability.sh
	@touch $@

lock: .venv/.stamp ## write requirements.lock anew from pyproject.toml
	@deploy/venv.sh lock

env: .venv/.stamp ## write the settings' part of .env.example anew
	@sed -i '/^# ---- Settings /,$$d' .env.example
	@$(BIN)/callytics settings example >> .env.example

dashboards: .venv/.stamp ## write Grafana's dashboards anew
	@$(BIN)/python -m deploy.dashboards

clean: ## remove .venv and the caches of the tools
	@rm -rf .venv .observability build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
