# Newsquake's tasks. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo up install test chaos check bench train ablation clean

help:  ## Print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed  ## Stream to alert on this machine: real servers, real model, a bank run in two languages
	@$(BIN)/python demo/run.py

up: $(VENV)/.installed  ## Start everything on this machine and keep it running (Ctrl-C stops it)
	@$(BIN)/newsquake up $(ARGS)

install: $(VENV)/.installed  ## Install into .venv
	@echo "Installed. Next: make demo, or $(BIN)/newsquake --help"

test: $(VENV)/.developer  ## Run all tests (each process of them starts its own broker and database)
	@$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder $(ARGS)

chaos: $(VENV)/.developer  ## Kill, freeze and cut off everything under traffic, and count (ARGS="--short", "--only NAME")
	@PYTHONPATH=. $(BIN)/python -m tests.chaos.run $(ARGS)

check: $(VENV)/.developer  ## Lint, format, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.developer  ## Measure the classifier's engine and the database against their peers
	@$(BIN)/newsquake bench engine $(ARGS)
	@$(BIN)/newsquake bench storage

train: $(VENV)/.developer  ## Rebuild the shipped checkpoint into OUT (DATA=folder with labelled/)
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[teacher]'
	@$(BIN)/newsquake model train --recipe default --data "$(DATA)" --out "$(or $(OUT),runs/default)"

ablation: $(VENV)/.developer  ## Measure what each training technique is worth, after `make train` (DATA, OUT as there)
	@PYTHONPATH=. $(BIN)/python bench/training/ablation.py --data "$(DATA)" --out "$(or $(OUT),runs/default)" $(ARGS)

clean:  ## Remove the environment, caches and local data
	rm -rf $(VENV) .newsquake .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Newsquake needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV) (a few minutes the first time) ..."
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[local]'
	@touch $@

$(VENV)/.developer: $(VENV)/.installed
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[local,dev,peers,bench]'
	@touch $@
