# One command per chore; `make check` is what CI runs. Everything lives in .venv.
PYTHON ?= python3
BIN := .venv/bin
# Real recordings for the tests that want them; the suite stands without.
EVENT_DATA := $(wildcard ../shared/data)
PYTEST := $(BIN)/python -m pytest $(if $(EVENT_DATA),--event-data=$(EVENT_DATA))

.PHONY: accelerator bench check clean demo dist docs drill fix fuzz interop lint release-check \
	release-check-final 	resolution setup test test-all test-lowest types

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

# The types of this system, and of those whose library of Python lacks parts.
types: .venv/.installed-dev
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin

docs: .venv/.installed-dev
	$(BIN)/mkdocs build --strict --quiet

.venv/.installed-release: .venv/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[release]'
	touch $@

# Builds the wheel and the sdist, and checks them as a user meets them.
release-check: .venv/.installed-release
	$(BIN)/python tests/release/run.py

# The same, and keeps them in dist/.
dist: .venv/.installed-release
	$(BIN)/python tests/release/run.py --output dist

# For a release: also refuses placeholders.
release-check-final: .venv/.installed-release
	$(BIN)/python tests/release/run.py --final --output dist

# Whether evdet and its extras can be installed from wheels on every system; asks the package index.
resolution: .venv/.installed-release
	$(PYTEST) -m 'slow or not slow' tests/test_resolution.py

# The oldest libraries that pyproject.toml allows, in an environment of their own. TORCH=2.6.0 tests
# the oldest torch, too; by default it is that of constraints.txt, which is the small CPU build.
TORCH ?= $(shell sed -n 's/^torch==//p' constraints.txt)
.venv-lowest/.installed: pyproject.toml .venv/.installed-release
	$(PYTHON) -m venv .venv-lowest
	echo 'torch==$(TORCH)' > .venv-lowest/override.txt
	$(BIN)/uv pip compile --quiet --no-header --no-annotate --resolution lowest-direct \
		--only-binary :all: --override .venv-lowest/override.txt --extra aedat --extra onnx \
		--extra ros --extra tracking pyproject.toml --output-file .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check \
		-c .venv-lowest/lowest.txt -e '.[aedat,onnx,ros,tracking]' \
		beartype hypothesis pycocotools pytest pytest-timeout pytest-xdist
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check \
		-c .venv-lowest/lowest.txt --force-reinstall --no-deps opencv-python-headless
	touch $@

test-lowest: .venv-lowest/.installed
	.venv-lowest/bin/python -m pytest -n auto --maxprocesses 4

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
	rm -rf .venv .venv-lowest site build dist .mypy_cache .ruff_cache .pytest_cache
