# Two commands: `make run` gives a first result, `make test` passes the tests. Both set up .venv/ by themselves.
SHELL := /bin/bash
VENV  := .venv
BIN   := $(VENV)/bin

.PHONY: help run test regression lint setup bench report
.DEFAULT_GOAL := help

help:
	@echo "make run    set up, then three trials of the h2r agent on instance_gen"
	@echo "make test   set up with everything the tests need, then lint, type-check and test"
	@echo "make regression  every task with every shipped agent against its goldens (minutes)"
	@echo "make lint   ruff and mypy only"
	@echo "make report the leaderboard and, in build/site, the HTML report of results/"
	@echo "make bench  what a step costs beyond bare physics and rendering"
	@echo "make setup  only set up .venv/"

run: $(VENV)/.ready-run
	$(BIN)/python -m h2r_bench.run --task instance_gen --policy h2r --trials 3

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not regression"

regression: $(VENV)/.ready-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m regression

lint: $(VENV)/.ready-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/.ready-run
	$(BIN)/python benchmarks/step_overhead.py

report: $(VENV)/.ready-test
	$(BIN)/python -m h2r_bench.report --site build/site

setup: $(VENV)/.ready-run

$(VENV)/.ready-%: pyproject.toml tools/setup.sh
	@tools/setup.sh $*
