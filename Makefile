# make demo: correct a small dataset.   make test: linters and quick tests.   make test-all: the slow tests, too.
# make lint, tests: the two parts of make test.   make docs: the pages.   make dist: the files for PyPI.
# make tests-min: the quick tests with the oldest versions.
# make tests-peers: tests with the libraries that use GetNet: MONAI, TorchIO, SimpleITK, sMRIPrep, nibabies, pydra, Boutiques.
# Each makes its environment first: .venv, or the folder given by VENV=.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
SOURCES := pyproject.toml setup.py $(CONSTRAINTS)
PYTEST := $(BIN)/python -m pytest
# Number of tests that run at the same time, with one thread each.
JOBS ?= 2
QUICK := OMP_NUM_THREADS=1 $(PYTEST) -n $(JOBS) --dist worksteal
# Tests that need other people's libraries, and the pages about them.
PEERS := tests/test_monai.py tests/test_torchio.py tests/test_boutiques.py tests/test_pages_of_pipelines.py \
    tests/test_pages_of_files.py tests/test_images_of_others.py tests/test_heads_and_labels_benchmarks.py \
    tests/cli/test_readers.py tests/run/test_handover.py tests/interfaces/test_drop_in.py
# Packages of which tests must cover at least LEAST percent of lines and branches.
COVERED := core bids
LEAST := 90

T ?=

.PHONY: outline demo test test-all tests tests-min tests-peers pytest-min check lint format docs dist clean image-test lock

demo: $(VENV)/.package
	$(BIN)/getnet-demo

# T= chooses some tests: make test T=tests/core
ifeq ($(T),)
test: check
else
test: $(VENV)/.all
	$(PYTEST) $(T)
endif

check: lint tests

test-all: lint
	$(PYTEST) -m ""

tests: $(VENV)/.all
	$(QUICK) --cov --cov-report=
	@for part in $(COVERED); do \
	    echo "Coverage of getnet_bids/$$part:"; \
	    $(BIN)/coverage report --include="getnet_bids/$$part/*" --skip-covered --fail-under=$(LEAST) || exit 1; \
	done
	@echo "Coverage of all:"; $(BIN)/coverage report | tail -1

tests-min:
	$(MAKE) VENV=.venv-min CONSTRAINTS=constraints-min.txt pytest-min

# nibabies asks for an older pandas than the rest; its collector of derivatives does without.
tests-peers: $(VENV)/.all
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[monai,torchio,peers]'
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --no-deps nibabies
	$(QUICK) -m "" $(PEERS)

pytest-min: $(VENV)/.all
	$(QUICK) tests

lint: $(VENV)/.all
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy

# Each file of the package with the first line of its docstring.
outline:
	@$(PYTHON) -c 'import ast, pathlib; [print(f"{p}: {(ast.get_docstring(ast.parse(p.read_text())) or str()).partition(chr(10))[0]}") for d in ("getnet_bids", "workflows", "training") for p in sorted(pathlib.Path(d).rglob("*.py"))]'

format: $(VENV)/.all
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.all
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build

# Source distribution and wheel; nothing is downloaded, since setuptools is in the environment.
dist: $(VENV)/.all
	rm -rf dist
	$(BIN)/python -m build --no-isolation

$(VENV)/.package: EXTRAS =
$(VENV)/.all: EXTRAS = [all]
$(VENV)/.package $(VENV)/.all: $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "getnet_bids needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.$(EXTRAS)'
	touch $@

clean:
	rm -rf $(VENV) .venv-min demo-output build dist *.egg-info

# Build the image and run it as clusters do: BASE=, TORCH_INDEX=, DATA=, ... as described in containers/image-test.sh.
image-test:
	containers/image-test.sh

# Fix the versions in the image to those of this environment, in which the tests passed.
lock: $(VENV)/.all
	$(BIN)/python containers/lock.py > containers/lock.txt.new
	mv containers/lock.txt.new containers/lock.txt
