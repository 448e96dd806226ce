# make app     serves the explorer on http://localhost:8501 (another port: make app PORT=9000)
# make test    linter, type checker and every test, the browser's included

PORT ?= 8501
WORKERS ?= 2
FUZZ_EXAMPLES ?= 1000
VENV := .venv
BIN := $(VENV)/bin
CANDIDATES := python3 python3.15 python3.14 python3.13 python3.12 python3.11 python
BROWSERS := chromium chromium-browser google-chrome

PYTHON ?= $(shell for name in $(CANDIDATES); do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
NO_PYTHON = no Python 3.11 or newer was found: install one, or name yours with "make app PYTHON=/path/to/python3"
NO_VENV = echo 'No .venv could be made: on Debian and Ubuntu, run "apt install python3-venv" first.' >&2; exit 1

.PHONY: app test lint fuzz bench browser clean

app: $(VENV)/app.stamp
	$(BIN)/streamlit run app.py --server.port $(PORT)

test: lint browser
	$(BIN)/python -m pytest -n $(WORKERS)

lint: $(VENV)/test.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

fuzz: $(VENV)/test.stamp
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest -m fuzz -n $(WORKERS) --timeout 0

bench: browser
	$(BIN)/python -m pytest tests/benchmarks -o python_files='bench_*.py' -s --timeout 0

# A stamp newer than its requirements file says that they are installed, so the next start does not ask pip.
$(VENV)/app.stamp: requirements.txt
	$(or $(PYTHON),$(error $(NO_PYTHON))) -m venv $(VENV) || { $(NO_VENV); }
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/test.stamp: tests/requirements.txt $(VENV)/app.stamp
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt -r tests/requirements.txt
	@touch $@

# The system's Chromium if there is one; else Debian's package, which only root can install; else Playwright's own.
browser: $(VENV)/test.stamp
	@for name in $(BROWSERS); do command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && grep -qs '^ID=debian' /etc/os-release; \
	then apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; \
	else $(BIN)/playwright install chromium; fi

clean:
	rm -rf $(VENV) out .pytest_cache .ruff_cache .hypothesis
