# ThoraScreen. `make run` needs Python 3.11 or newer; everything else is installed into .venv.
# HTTP port, address to listen on, and how many images are read at the same time:
PORT ?= 8000
HOST ?= 127.0.0.1
WORKER_CONCURRENCY ?= 2

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PORT HOST WORKER_CONCURRENCY

.DEFAULT_GOAL := help
.PHONY: help run test lint format translations lock viewer secrets clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.product ## Start the whole portal on this machine (PORT=8000)
	@$(BIN)/python -m portal.embedded

test: $(VENV)/.development ## Run the whole test suite (ARGS="tests/portal -k env")
	@$(BIN)/python -m tests.shapes $(ARGS)

lint: $(VENV)/.development ## Run every static check
	@$(BIN)/python -m tests.lint

format: $(VENV)/.development ## Put the code into its one format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

translations: $(VENV)/.development ## Read every sentence anew into locale/, and compile
	@$(BIN)/python -m tests.translations

lock: $(VENV)/.development ## Pin what the *.in files ask for
	@$(BIN)/python -m pip install --quiet pip-tools
	@for name in requirements requirements-dev; do \
		echo "Pinning $$name.txt."; \
		$(BIN)/pip-compile --quiet --upgrade --strip-extras --no-emit-index-url \
			--no-emit-find-links --no-emit-trusted-host --output-file $$name.txt $$name.in; \
	done

viewer: ## Bundle the viewer's script anew (needs Node and npm)
	@cd viewer && npm ci --ignore-scripts --no-audit --no-fund && node build.mjs

secrets: ## Make ./secrets/* for docker compose, unless they are there
	@$(PYTHON) -I portal/make_secrets.py secrets

clean: ## Remove caches and the virtual environment; data in var/ stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "ThoraScreen needs Python 3.11 or newer; say which: make PYTHON=python3.11 …"; exit 1; }
	@echo "Making the virtual environment in $(VENV)."
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
		$(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -m virtualenv --version >/dev/null 2>&1; then \
		$(PYTHON) -m virtualenv --quiet $(VENV); \
	elif $(PYTHON) -m venv --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python install --quiet pip >/dev/null 2>&1; then \
		:; \
	else \
		rm -rf $(VENV); \
		echo "Python's venv module is incomplete here. On Debian: apt install python3-venv"; exit 1; \
	fi

# The stamps hold a copy of what was installed, so that only a changed file installs again.
$(VENV)/.product: requirements.txt | $(BIN)/python
	@if ! cmp -s requirements.txt $@; then \
		echo "Installing requirements.txt (a few minutes the first time)."; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt; \
	fi
	@cp requirements.txt $@

$(VENV)/.development: requirements-dev.txt $(VENV)/.product
	@if ! cmp -s requirements-dev.txt $@; then \
		echo "Installing requirements-dev.txt."; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt; \
	fi
	@cp requirements-dev.txt $@
