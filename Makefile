# Every target sets up what it needs. `make demo` on a fresh machine: a virtual environment, then the main job.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ENGINES := $(VENV)/.engines

.PHONY: help setup demo test test-cluster lint clean

help:
	@echo "make demo    set up and run the main job (make demo ARGS='method=kl seed=1' for another)"
	@echo "make test    set up and run the tests"
	@echo "make test-cluster  set up Slurm, Ray and joblib, run the tests on them, and take Slurm down again"
	@echo "make lint    set up and check style, types and layers"
	@echo "make setup   set up only: $(VENV) with the package and its tools"
	@echo "make clean   remove $(VENV) and whatever can be made again; runs/ stays"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit('Python 3.11 or newer is needed: make PYTHON=python3.12')"
	@echo "Setting up $(VENV), once; this takes a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

demo: $(READY)
	$(BIN)/python run.py $(ARGS)

# Two workers, one thread each: torch's own threads would only get in each other's way. What the tests of a file share
# is made once if one worker has them all.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

# The engines of sweeps: a real Slurm, where Debian packages can be installed, Ray and joblib. Nothing stays running.
test-cluster: $(ENGINES)
	tests/cluster/packages.sh
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 0 -rs tests/cluster $(ARGS)

$(ENGINES): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,slurm,ray]'
	@touch $(ENGINES)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
