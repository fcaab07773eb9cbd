# Needs nothing but Python 3.11 or later with pip and venv. Makes .venv, smtpsource.egg-info, .hypothesis and, with a C
# compiler, smtpsource/_speedups.* here.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# What is installed: exactly what requirements/test.txt says, or the newest that there is with these dependencies:
# make test VENV=.venv-lowest DEPENDENCIES='twisted==22.10.0 setuptools==80.9.0 hdrhistogram==0.10.3'
DEPENDENCIES ?=

# test/ is no package, so that it can't be mistaken for CPython's own: its modules are named one by one.
TESTS = $(notdir $(basename $(wildcard test/test_*.py)))
# Tests wait for servers and processes more than they compute: several at once.
JOBS ?= 3
TRIAL = PYTHONPATH=.:test $(BIN)/python -m twisted.trial --jobs=$(JOBS) --temp-directory=$(VENV)/trial

.PHONY: demo test coverage apidocs counts capacity test-newest bounds lock lint reactor-conformance benchmark instructions startup docs man plan pictures dist clean

demo: $(VENV)/installed
	$(BIN)/smtpsource -d -s 20 -m 10000 sink:

test: $(VENV)/installed
	$(TRIAL) $(TESTS)

# Lines and branches that the tests reach, those in processes that they start included.
coverage: $(VENV)/installed-coverage
	$(BIN)/python -m coverage erase
	$(subst python -m,python -m coverage run -m,$(TRIAL)) $(TESTS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

# The API as HTML, in apidocs/. What it says of Twisted leads to Twisted's own pages.
TWISTED = $(shell $(BIN)/python -c 'import os, twisted; print(os.path.dirname(twisted.__file__))')
apidocs: $(VENV)/installed-apidocs
	$(BIN)/pydoctor -q -q --make-intersphinx --project-name Twisted --html-output=$(VENV)/twisted $(TWISTED) >/dev/null
	$(BIN)/pydoctor -q --warnings-as-errors --make-html --project-name smtp-source --project-base-dir=. \
		--docformat=epytext --html-output=apidocs \
		--intersphinx-file=$(VENV)/twisted/objects.inv::https://docs.twisted.org/en/stable/api/ smtpsource

# Our counts against a server's ledger, as many runs of each kind as you like.
SEEDS ?= 200
counts: $(VENV)/installed
	SEEDS=$(SEEDS) $(TRIAL) test_counts

# The answers of --find-rate against a server whose capacity is known.
capacity: $(VENV)/installed
	SEEDS=$(SEEDS) $(TRIAL) test_capacity

# With the newest releases, our upper bounds or not: pip says so where they are exceeded.
test-newest:
	rm -rf .venv-newest
	$(MAKE) .venv-newest/installed VENV=.venv-newest DEPENDENCIES=twisted
	.venv-newest/bin/python -m pip install --quiet --upgrade $$($(PYTHON) requirements/bounds.py names)
	$(MAKE) test VENV=.venv-newest DEPENDENCIES=twisted

# Move the upper bounds behind the releases that test-newest was happy with.
bounds: test-newest
	.venv-newest/bin/python requirements/bounds.py move
	$(MAKE) lock

# The newest releases within our bounds, for every Python and system that we run on, with the hashes of all their files.
lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet uv
	.venv-lock/bin/uv --no-config pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links \
		--custom-compile-command 'make lock' --extra test --output-file requirements/test.txt pyproject.toml

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint contrib/Containerfile

# Twisted's own reactor tests: ours must do what Twisted's epoll reactor does.
reactor-conformance: $(VENV)/installed-dev
	$(BIN)/python test/conformance.py

# Ours, Postfix's and others' side by side: see benchmarks/README.rst. ARGS='--list' tells what there is.
benchmark: $(VENV)/installed-benchmark
	$(BIN)/python -m benchmarks $(ARGS)

# How long a plain run takes from start to end, and how large it is, beside Python alone. ARGS='--runs 50'
startup: $(VENV)/installed
	$(BIN)/python -m benchmarks.startup $(ARGS)

# User instructions for each message, by callgrind, beside the figures that were counted before: see
# benchmarks/README.rst. ARGS=--write makes these the figures.
instructions: $(VENV)/installed
	$(BIN)/python -m benchmarks.instructions $(ARGS)

# All documents as HTML, in build/html/, the manual pages too. A warning is an error.
docs: $(VENV)/installed-dev
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -d build/doctrees docs build/html

# The manual pages for man(1), in build/man/, as they are now: those that were installed stand in $(VENV)/share/man.
man: $(VENV)/installed
	mkdir -p build/man
	for page in docs/man/*.rst; do \
		$(BIN)/rst2man $$page build/man/$$(basename $$page .rst).1 || exit 1; \
	done

# The tables of docs/plan.rst, as the settings are now.
plan: $(VENV)/installed
	$(BIN)/python docs/plantables.py

# The pictures of docs/report-html.rst, of runs that take some minutes, by Chromium.
pictures: $(VENV)/installed
	PYTHONPATH=.:test $(BIN)/python docs/pictures.py

# What is published, in dist/: the source distribution, and a wheel that is made of it. See docs/release.rst.
dist: $(VENV)/installed-dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*

$(VENV)/installed: pyproject.toml setup.py smtpsource/_speedups.pyx requirements/test.txt
	$(PYTHON) -m venv $(VENV)
ifeq ($(DEPENDENCIES),)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/test.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
else
	$(BIN)/python -m pip install --quiet --editable '.[test]' $(DEPENDENCIES)
endif
	touch $@

$(VENV)/installed-%: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	touch $@

clean:
	rm -rf smtpsource/_speedups.c smtpsource/_speedups.*.so .venv .venv-* .relays apidocs .coverage* build dist *.egg-info .hypothesis _trial_temp*
