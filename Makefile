# One command per chore; `make check` is what CI runs. Everything lives in .venv.
PYTHON ?= python3
BIN := .venv/bin
# Real recordings for the tests that want them; the suite stands without.
EVENT_DATA := $(wildcard ../shared/data)
PYTEST := $(BIN)/python -m pytest $(if $(EVENT_DATA),--event-data=$(EVENT_DATA))

.PHONY: accelerator setup demo test test-all interop drill fuzz lint fix types docs bench check clean

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	# The trackers bring opencv-python, which wants libGL; the core's build of it needs no window.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		--force-reinstall --no-deps opencv-python-headless
	touch $@

setup: .venv/.installed-dev

demo: .venv/.installed
	$(BIN)/evdet demo

test: .venv/.installed-dev
	$(PYTEST) -n auto --maxprocesses 4

# What only the slow tests want is large: a viewer's library of 490 MB.
.venv/.installed-all: .venv/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[rerun]'
	touch $@

test-all: .venv/.installed-all
	$(PYTEST) -n auto --maxprocesses 4 -m 'slow or not slow'

.venv/.installed-interop: .venv/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[interop]'
	touch $@

# Tests of files that others' programs write and read; test-all skips those that are not installed.
interop: .venv/.installed-interop
	$(PYTEST) -m 'slow or not slow' tests/interop

# Full disks, kills, signals, bombs and altered files, in temporary folders and on loopback only.
drill: .venv/.installed-dev
	$(BIN)/python tests/drill/run.py

fuzz: .venv/.installed-dev
	$(BIN)/python tests/fuzz/run.py --count 100000
	$(PYTEST) -m 'slow or not slow' --hypothesis-profile=long tests/test_boxes.py tests/models tests/data

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

fix: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: .venv/.installed-dev
	$(BIN)/mypy

docs: .venv/.installed-dev
	$(BIN)/mkdocs build --strict --quiet

.venv/.installed-bench: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	touch $@

bench: .venv/.installed-bench
	$(BIN)/python -m benchmarks

# With nothing installed but torch, Lightning, numba, h5py, opencv, jaxtyping and tyro:
# PYTHONPATH=src python -m benchmarks.accelerator
accelerator: .venv/.installed
	$(BIN)/python -m benchmarks.accelerator

check: lint types test docs

clean:
	rm -rf .venv site build dist .mypy_cache .ruff_cache .pytest_cache
