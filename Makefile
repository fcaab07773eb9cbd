# Needs nothing but Python 3.11 with pip and venv. Makes .venv, smtpsource.egg-info and .hypothesis here.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Other versions than the newest: make test VENV=.venv-lowest DEPENDENCIES='twisted==22.10.0 setuptools==80.9.0 hdrhistogram==0.10.3'
DEPENDENCIES ?= twisted

# test/ is no package, so that it can't be mistaken for CPython's own: its modules are named one by one.
TESTS = $(notdir $(basename $(wildcard test/test_*.py)))
# Tests wait for servers and processes more than they compute: several at once.
JOBS ?= 3
TRIAL = PYTHONPATH=.:test $(BIN)/python -m twisted.trial --jobs=$(JOBS) --temp-directory=$(VENV)/trial

.PHONY: demo test counts lint reactor-conformance benchmark docs clean

demo: $(VENV)/installed
	$(BIN)/smtpsource -d -s 20 -m 10000 sink:

test: $(VENV)/installed
	$(TRIAL) $(TESTS)

# Our counts against a server's ledger, as many runs of each kind as you like.
SEEDS ?= 200
counts: $(VENV)/installed
	SEEDS=$(SEEDS) $(TRIAL) test_counts

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Twisted's own reactor tests: ours must do what Twisted's epoll reactor does.
reactor-conformance: $(VENV)/installed-dev
	$(BIN)/python test/conformance.py

# Ours, Postfix's and others' side by side: see benchmarks/README.rst. ARGS='--list' tells what there is.
benchmark: $(VENV)/installed-benchmark
	$(BIN)/python -m benchmarks $(ARGS)

# The manual pages, for man(1).
docs: $(VENV)/installed
	for page in smtp-source smtp-sink smtpsource-compare smtpsource-merge smtpsource-calibrate; do \
		$(BIN)/rst2man docs/man/$$page.rst $(VENV)/$$page.1 || exit 1; \
	done

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]' $(DEPENDENCIES)
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/installed-benchmark: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[benchmark]'
	touch $@

clean:
	rm -rf .venv .venv-* build dist *.egg-info .hypothesis _trial_temp*
