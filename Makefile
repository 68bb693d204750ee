# make help lists what there is to make.

VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := $(VENV)/bin
ARGS ?=
# A test process for each core; a file stays on one of them, so that its fixtures are made once.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile

.PHONY: help train reproduce-mnist test test-all check format lint type clean

help: ## what there is to make
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

train: $(VENV)/.ready ## train on the bundled digits, or as ARGS="--dataset moons" says
	$(BIN)/python train.py $(ARGS)

reproduce-mnist: $(VENV)/.ready ## train ADGM and SDGM on MNIST with 100 labels, five label seeds; hours, resumable
	$(BIN)/python -m benchmarks.mnist $(ARGS)

test: $(VENV)/.ready ## run the fast tests
	$(PYTEST) $(ARGS)

test-all: $(VENV)/.ready ## run every test
	$(PYTEST) -m "slow or not slow" $(ARGS)

check: $(VENV)/.ready ## what must pass before a commit: format, lint, types, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) $(ARGS)

format: $(VENV)/.ready ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/.ready ## look for mistakes
	$(BIN)/ruff check .

type: $(VENV)/.ready ## check the types
	$(BIN)/mypy

clean: ## remove the environment and caches; runs stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build *.egg-info

$(VENV)/.ready: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@
