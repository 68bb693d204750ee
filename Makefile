# make help lists what there is to make.

VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := $(VENV)/bin
ARGS ?=
# A test process for each core.
PYTEST := $(BIN)/python -m pytest -n auto

.PHONY: help train reproduce-mnist test test-all faults golden format lint type docs clean

help: ## what there is to make
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

train: $(VENV)/.ready ## train on the bundled digits, or as ARGS="--dataset moons" says
	$(BIN)/python train.py $(ARGS)

reproduce-mnist: $(VENV)/.ready ## train ADGM and SDGM on MNIST with 100 labels, five label seeds; hours, resumable
	$(BIN)/python -m experiments mnist_100 $(ARGS)

test: lint type ## what must pass before a commit: format, lint, types and the fast tests
	$(PYTEST) $(ARGS)

test-all: lint type ## the same with every test; before a release
	$(PYTEST) -m "slow or not slow" $(ARGS)

faults: $(VENV)/.ready ## plant faults one at a time and see that the tests catch each
	$(BIN)/python -m tests.planted_faults $(ARGS)

golden: $(VENV)/.ready ## compare what two commits compute, bit for bit: make golden ARGS=OLD
	$(BIN)/python -m tests.golden $(ARGS)

format: $(VENV)/.ready ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/.ready ## look for mistakes
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .

type: $(VENV)/.ready ## check the types
	$(BIN)/mypy --no-error-summary

docs: $(VENV)/.ready ## build the documentation into site/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/mkdocs build --strict --quiet

clean: ## remove the environment and caches; runs stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build site *.egg-info

$(VENV)/.ready: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@
