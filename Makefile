# make help lists what there is to make: what follows a target after ## is its description there.

PORT ?= 8501
WORKERS ?= 2
FUZZ_EXAMPLES ?= 1000
SESSIONS ?= 60
MINUTES ?= 30
VENV := .venv
BIN := $(VENV)/bin
CANDIDATES := python3 python3.15 python3.14 python3.13 python3.12 python3.11 python
BROWSERS := chromium chromium-browser google-chrome

PYTHON ?= $(shell for name in $(CANDIDATES); do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
NO_PYTHON = no Python 3.11 or newer was found: install one, or name yours with "make app PYTHON=/path/to/python3"
NO_VENV = echo 'No .venv could be made: on Debian and Ubuntu, run "apt install python3-venv" first.' >&2; exit 1

.PHONY: app test help lint format fuzz bench soak browser clean

app: $(VENV)/app.stamp ## serve the explorer on http://localhost:8501 (another port: make app PORT=9000)
	$(BIN)/streamlit run app.py --server.port $(PORT)

test: lint browser ## linter, type checker and every test, the browser's included (more at a time: WORKERS=8)
	$(BIN)/python -m pytest -n $(WORKERS)

help: ## list what there is to make
	@sed -n 's/^\([a-z]*\):.* ## /make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 15

lint: $(VENV)/test.stamp ## linter and type checker alone
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

format: $(VENV)/test.stamp ## bring every file into the house's format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz: $(VENV)/test.stamp ## property tests with a thousand new examples each (another number: FUZZ_EXAMPLES=200)
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest -m fuzz -n $(WORKERS) --timeout 0

bench: browser ## benchmarks: what they measure beside its goal, as in the tables of the README
	$(BIN)/python -m pytest tests/benchmarks -o python_files='bench_*.py' -s --timeout 0

soak: $(VENV)/test.stamp ## one server under SESSIONS=60 visitors for MINUTES=30: rerun times, memory, jobs
	$(BIN)/python -m tests.benchmarks.soak --sessions $(SESSIONS) --minutes $(MINUTES)

# A stamp newer than its requirements file says that they are installed, so the next start does not ask pip.
$(VENV)/app.stamp: requirements.txt
	$(or $(PYTHON),$(error $(NO_PYTHON))) -m venv $(VENV) || { $(NO_VENV); }
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/test.stamp: tests/requirements.txt $(VENV)/app.stamp
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt -r tests/requirements.txt
	@touch $@

# The system's Chromium if there is one; else Debian's package, which only root can install; else Playwright's own.
browser: $(VENV)/test.stamp ## install a Chromium for the browser's tests, if none is there
	@for name in $(BROWSERS); do command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && grep -qs '^ID=debian' /etc/os-release; \
	then apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; \
	else $(BIN)/playwright install chromium; fi

clean: ## remove the environment, the caches and what commands wrote to out
	rm -rf $(VENV) out .pytest_cache .ruff_cache .hypothesis
