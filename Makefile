# `make help` lists the targets. Needs Python 3.11 or later with venv and pip; nothing else is installed outside .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
TEST_EXTRAS := dev,sb3,onnx,hub,box2d,mujoco,atari,minatar,minari,envpool,tensorboard,lab,ray
WORKERS ?= 2
EXAMPLES := $(sort $(wildcard examples/*.py))

# One thread each: the networks are small, and the tests run side by side.
export OMP_NUM_THREADS := 1

.PHONY: help demo test format lint types contract pages examples tests faults bench bench-lab docs constraints clean distclean
.NOTPARALLEL:

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST) | while IFS=: read -r name text; do \
		printf '  make %-12s%s\n' "$$name" "$$text"; done

# Set-up: a virtual environment, then the package with what a target needs. Stamps say that it is done.

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/demo.stamp: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) -e '.[box2d]'
	@touch $@

.venv/test.stamp: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) -e '.[$(TEST_EXTRAS)]'
	@touch $@

.bench-venv/stamp: benchmarks/rivals/requirements.txt
	$(PYTHON) -m venv .bench-venv
	.bench-venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	.bench-venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps imitation==1.0.1
	@touch $@

# What people run.

demo: .venv/demo.stamp  ## Distil the two teachers that come with the project, and evaluate a student
	rm -rf runs/demo
	$(BIN)/understudy distill teachers/ppo-CartPole-v1.zip --env CartPole-v1 --student mlp:16,16 --out runs/demo/CartPole-v1
	$(BIN)/understudy distill teachers/ppo-LunarLander-v3.zip --env LunarLander-v3 --student mlp:16,16 --out runs/demo/LunarLander-v3
	$(BIN)/understudy evaluate runs/demo/LunarLander-v3 --env LunarLander-v3 --episodes 100

test: .venv/test.stamp lint types contract pages examples tests  ## Everything that must pass before a change goes in

lint: .venv/test.stamp  ## ruff: style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: .venv/test.stamp  ## Let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: .venv/test.stamp  ## mypy
	$(BIN)/mypy

contract: .venv/test.stamp  ## import-linter: imports go one way
	$(BIN)/lint-imports --no-logo

pages: .venv/test.stamp  ## Check that docs/methods says what the catalogue says, and the README what the lab found
	$(BIN)/python scripts/method_pages.py --check
	$(BIN)/python scripts/lab_pages.py --check

examples: .venv/test.stamp  ## Run every example
	@mkdir -p build/examples
	@set -e; for example in $(EXAMPLES); do \
		echo "$$example"; (cd build/examples && ../../$(BIN)/python "../../$$example"); done

tests: .venv/test.stamp  ## pytest
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

faults: .venv/test.stamp  ## Plant faults and see that the tests notice each of them (minutes)
	$(BIN)/python scripts/planted_faults.py

bench: .venv/test.stamp .bench-venv/stamp  ## Measure speed against other tools and a plain loop (long)
	$(BIN)/python benchmarks/bench.py $(ARGS)

bench-lab: .venv/test.stamp  ## Measure the tabular engine: nanoseconds per environment step and core
	$(BIN)/python benchmarks/lab_speed.py $(ARGS)

docs: .venv/test.stamp  ## Write docs/methods from the catalogue
	$(BIN)/python scripts/method_pages.py

constraints: .venv/test.stamp  ## Pin what is installed in .venv now
	@{ echo '# The versions that `make demo` and `make test` install, on Python 3.11. Written by `make constraints`.'; \
		$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' | LC_ALL=C sort -f; } > constraints.new
	@mv constraints.new constraints.txt

clean:  ## Remove what was built and cached
	rm -rf build dist runs/demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find src tests examples scripts benchmarks teachers -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## Remove the virtual environments too
	rm -rf .venv .bench-venv src/understudy.egg-info
