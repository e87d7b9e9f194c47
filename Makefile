# Two commands do everything on a fresh machine with Python 3.11, make and gcc:
#   make demo   the environment, then the main job on a shipped recording
#   make test   the environment, then the tests
.DEFAULT_GOAL := help
.PHONY: help demo test slow shapes lint docs browser notebooks executed exports wheel lowest release-check clean

CANDIDATES := python3.11 python3 python3.12 python3.13 python
PYTHON ?= $(firstword $(foreach p,$(CANDIDATES),$(shell $(p) -c 'import sys; sys.version_info >= (3, 11) and print("$(p)")' 2>/dev/null)))
BIN := .venv/bin
READY := .venv/.ready
CELL ?= data/DRN164.nwb
MODEL ?= auto
WORKERS ?= 2

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/'

CONSTRAINTS ?= constraints.txt

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer found; say which: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv; on a fresh machine this takes some minutes"
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[all,test,docs,dev]'
	@touch $@

demo: $(READY)  ## fit a real cell, print its scores on held-out repeats, write demo/report.html
	$(BIN)/ephysfit fit $(CELL) --model $(MODEL) --output demo

test: $(READY) browser  ## all tests but the slow ones, and every example in the documentation strings
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow" --durations=12

slow: $(READY)  ## the slow tests
	$(BIN)/python -m pytest -n $(WORKERS) -m slow tests

# reports, neurons and metrics, because they pass arrays to nearly all other functions whose annotations name axes
SHAPED := tests/metrics tests/reports tests/neuron tests/explorer/test_session.py

shapes: $(READY)  ## tests again, with every array held to the axes that annotations name
	EPHYSFIT_CHECK_SHAPES=1 $(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(SHAPED)

lint: $(READY)  ## style, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

notebooks: $(READY)  ## run every notebook as it is shipped
	$(BIN)/python -m pytest --nbmake --nbmake-timeout=600 -n $(WORKERS) -o addopts= notebooks/*.ipynb

executed: $(READY)  ## make the shipped notebooks anew from their sources, and run them
	$(BIN)/jupytext --quiet --to ipynb notebooks/*.py
	$(BIN)/python -m pytest --nbmake --overwrite --nbmake-timeout=600 -o addopts= notebooks/*.ipynb

docs: $(READY)  ## the documentation site, docs/_build/html/index.html; a warning or a dead link inside fails
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

browser:  ## chromium for the tests of pages, by apt where it is missing and this is root; without it they are skipped
	@command -v chromium >/dev/null || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq chromium; else echo "no chromium: tests of pages in a browser are skipped"; fi

SIMULATORS := .venv-exports
EXPORTS := build/exports

$(SIMULATORS)/.ready: constraints-exports.txt
	for need in java cmake g++; do command -v $$need >/dev/null || missing="$$missing $$need"; done; \
	  test -z "$$missing" -a -f /usr/include/boost/type_index.hpp -a -f /usr/include/ltdl.h || { apt-get update -qq && \
	  apt-get install -y -qq default-jre-headless cmake g++ libboost-dev libltdl-dev; }
	test -x $(SIMULATORS)/bin/python || $(PYTHON) -m venv $(SIMULATORS)
	$(SIMULATORS)/bin/python -m pip install --quiet --quiet --disable-pip-version-check -r constraints-exports.txt
	@touch $@

exports: $(READY) $(SIMULATORS)/.ready  ## export cells, run them in NEST, Brian2, NeuroML, NIR, compare the spikes
	$(BIN)/python benchmarks/exports.py write $(EXPORTS)
	$(SIMULATORS)/bin/python benchmarks/exports_run.py $(EXPORTS)
	$(BIN)/python benchmarks/exports.py table $(EXPORTS)

wheel: $(READY)  ## build the wheel, install it into a clean environment, fit the demo cell with it
	rm -rf build/wheel && mkdir -p build/wheel
	$(BIN)/python -m build --wheel --outdir build/wheel
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt \
	  "$$(ls build/wheel/*.whl)[report]"
	cd build/wheel && venv/bin/ephysfit fit ../../$(CELL) --model LIF --output demo
	build/wheel/venv/bin/ephysfit export build/wheel/demo/fit.json --to python -o build/wheel/cell.py
	test -s build/wheel/demo/report.html -a -s build/wheel/cell.py

lowest:  ## the lowest versions that pyproject.toml declares, in an environment of their own: load, fit, report, export
	rm -rf build/lowest && mkdir -p build/lowest
	$(PYTHON) -m venv build/lowest/venv
	build/lowest/venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints-lowest.txt \
	  '.[report,store,batch,search,abf,igor,nix,export]'
	build/lowest/venv/bin/python tests/lowest.py build/lowest/work

release-check: $(READY)  ## fit again what texts and notebooks quote; a number that differs from what stands there fails
	$(BIN)/python benchmarks/release_check.py

clean:  ## remove what was made, the environment too
	rm -rf .venv .venv-exports demo build dist docs/_build docs/api docs/notebooks docs/changelog.md docs/commands.md docs/_static/behaviour
