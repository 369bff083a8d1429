# Everything a newcomer needs is `make demo` and `make test`; both set up .venv first.
PYTHON ?= python3
# A machine with a GPU takes its own build: make setup TORCH="torch==2.13.0 --index-url <the CUDA index>"
TORCH ?= torch==2.13.0
BIN := .venv/bin
READY := .venv/.ready
PYTEST := $(BIN)/python -m pytest

.PHONY: setup demo test check docs bench accept lock clean
.DEFAULT_GOAL := help

help:
	@echo "make setup | demo | test | check | docs | bench | accept | lock | clean"

setup: $(READY)

# torch comes first and pinned: left to the resolver it may bring gigabytes of CUDA libraries.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

demo: $(READY)
	$(BIN)/landshift demo out

test: $(READY)
	$(PYTEST) -m "not slow" -n 2 --dist loadfile --cov --cov-report=term:skip-covered $(ARGS)

check: $(READY)
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group docs
	$(BIN)/mkdocs build --strict --site-dir site-docs

bench: $(READY)
	$(BIN)/landshift bench

# The long checks: every slow test, then the benchmark figures.
accept: $(READY)
	$(PYTEST) -m slow -n 0 $(ARGS)
	$(BIN)/landshift bench

# Pin today's versions, so that a set-up next year gives the same ones.
lock: $(READY)
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf .venv out site-docs .pytest_cache .mypy_cache .ruff_cache .coverage
