# Everything here works from a fresh clone: what a target needs, it sets up in .venv.
PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
  BIN := $(VENV)/Scripts
else
  BIN := $(VENV)/bin
endif
READY := $(VENV)/.ready
PYTEST_ARGS ?=
export PYTHONUTF8 = 1

.DEFAULT_GOAL := help
.PHONY: help book pdf test export live check format lock clean

help:
	@echo "make book     run the chapters and build the website into _build/html"
	@echo "              (CNNBOOK_DATA=folder make book: with all of MNIST)"
	@echo "make pdf      set the whole book as _build/pdf/cnnbook.pdf (needs TeX, and says which)"
	@echo "make test     run every test"
	@echo "make export   write the package cnnbook/ from the chapters in book/"
	@echo "make live     build, open in a browser, build again on every save"
	@echo "make check    lint, format, types, spelling, links, numbers (reads only)"
	@echo "make format   let the formatter rewrite the chapters' code and the scripts"
	@echo "make lock     renew requirements.txt from requirements.in (needs uv)"
	@echo "make clean    remove what was built; .venv too"

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 14) else f'cnnbook is built with Python 3.11 to 3.14; this is {v[0]}.{v[1]}. Name another with make PYTHON=...')"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -c "open('$(READY)', 'w').close()"

book: export
	$(BIN)/python -m cnnbook.weave build

export: $(READY)
	$(BIN)/python -m cnnbook.weave export

pdf: export
	$(BIN)/python -m cnnbook.weave pdf

test: $(READY)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

live: $(READY)
	$(BIN)/python -m cnnbook.weave live

check: $(READY)
	$(BIN)/python -m cnnbook.weave check
	$(BIN)/python -m cnnbook.proofreading

format: $(READY)
	$(BIN)/python -m cnnbook.weave format

lock:
	uv pip compile --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate requirements.in -o requirements.txt

clean:
	@$(PYTHON) -c "import shutil; [shutil.rmtree(p, ignore_errors=True) for p in ('_build', '$(VENV)', 'build', 'dist', 'cnnbook.egg-info')]"
