# make demo: the main job on this machine, from nothing.   make test: the fast test suite.   make docs: the documentation, in
# site/.   make PYTHON=python3.11 ...
# TORCH_INDEX=https://download.pytorch.org/whl/cpu takes PyTorch without its CUDA libraries (some 3 GB less on Linux).

PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin

.PHONY: all demo test lint slow docs clean
all: test

$(VENV)/.installed: setup.py pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no python3 on PATH; install Python 3.11 or say make PYTHON=/path/to/python3" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV): $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/natdeploy run examples/digits.yaml

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf site $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
