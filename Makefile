# make demo: a small dataset, corrected.   make test: all checks and quick tests.   make test-all: the slow ones, too.
# All make .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml setup.py constraints.txt

.PHONY: demo test test-all check lint docs clean image-test lock

demo: $(VENV)/.package
	$(BIN)/getnet-demo

test: check

check: $(VENV)/.all lint
	$(BIN)/python -m pytest

test-all: $(VENV)/.all lint
	$(BIN)/python -m pytest -m ""

lint: $(VENV)/.all
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy

docs: $(VENV)/.all
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build

$(VENV)/.package: EXTRAS =
$(VENV)/.all: EXTRAS = [all]
$(VENV)/.package $(VENV)/.all: $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "getnet_bids needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.$(EXTRAS)'
	touch $@

clean:
	rm -rf $(VENV) demo-output build *.egg-info

# The image, built and run as clusters do: BASE=, TORCH_INDEX=, DATA=, ... as containers/image-test.sh tells.
image-test:
	containers/image-test.sh

# The versions in the image: those of this environment, in which the tests passed.
lock: $(VENV)/.all
	$(BIN)/python containers/lock.py > containers/lock.txt.new
	mv containers/lock.txt.new containers/lock.txt
