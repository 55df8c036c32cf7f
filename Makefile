# `make demo` needs nothing but Python >= 3.11 (PYTHON=python3.12 make demo picks another one).
PYTHON ?= python3
BIN := .venv/bin
# A process for each core, each with one thread: half the time of one process with many.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadfile
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-slow check format bench clean

demo: .venv/core                ## train on the embedded pictures and say where the report is
	$(BIN)/glassnet train fashion-mini --recipe quick

test: .venv/dev                 ## the default suite, under 3 minutes on 2 cores
	$(PYTEST)

test-slow: .venv/dev            ## what takes minutes: real kills, distributed training, parity on whole networks
	$(PYTEST) -m slow --timeout=1200

check: .venv/dev                ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev                ## every claim of the README again; each script says what it needs
	for script in benchmarks/*.py; do $(BIN)/python $$script; done

.venv/bin/python:
	$(PYTHON) -m venv .venv

# Stamps, so that the second call does not ask pip again.
.venv/core: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) -e .
	touch $@

.venv/dev: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) -e '.[dev]'
	touch $@ .venv/core

clean:
	rm -rf .venv dist build
