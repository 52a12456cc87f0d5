# Two commands matter to a newcomer: `make demo` and `make test`.
# The environment is built from nothing in .venv; a second call finds its stamp and is instant.
.DEFAULT_GOAL := help
.PHONY: help demo demo-remote run up test lint types fmt bench bench-rerank bench-scheduler bench-queue bench-quality bench-search bench-overload bench-recovery bench-parse bench-ingest bench-store bench-scaling bench-peers bench-peers-quality bench-targets fuzz fuzz-parse screenshots clean

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt

help: ## list the targets
	@grep -hE '^[a-z.-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-19s %s\n", $$1, $$2}'

.venv/.server: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Twofold needs Python 3.11 or newer; try make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing Twofold into .venv (about a minute, once) ..."
	@$(PIP) --editable '.[server]'
	@touch $@

.venv/.test: .venv/.server
	@echo "Installing the test tools into .venv (once) ..."
	@$(PIP) --editable '.[server,test,clients,langchain,llama-index]'
	@touch $@

.PHONY: .venv
.venv: .venv/.test ## build the environment from nothing

# The peers need other versions of some packages than Twofold does, so they live beside it.
.venv-peers/.peers: pyproject.toml benchmarks/peers/constraints.txt
	@test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	@echo "Installing the peers into .venv-peers (some minutes, once) ..."
	@.venv-peers/bin/python -m pip install -qq --disable-pip-version-check --constraint benchmarks/peers/constraints.txt --editable '.[peers]'
	@touch $@

demo: .venv/.server ## start Twofold, upload sample documents, search, print what each stage did
	@$(BIN)/python examples/demo.py

demo-remote: .venv/.server ## the same against a running server: TWOFOLD_URL, else http://127.0.0.1:8000
	@$(BIN)/python examples/demo.py --remote

run: .venv/.server ## serve the API on http://127.0.0.1:8000 with the data in ./data
	@$(BIN)/python -m services.api

# Redis comes with the test tools where it is neither installed nor named.
HAS_REDIS := $(or $(TWOFOLD_REDIS_URL),$(shell command -v redis-server))

up: $(if $(HAS_REDIS),.venv/.server,.venv/.test) ## API, workers, Redis and Qdrant as processes, as docker-compose.yaml has them
	@exec $(BIN)/python -m infra.local

test: .venv/.test lint ## everything that CI runs: format, lint, types, import contracts, tests
	@$(BIN)/python -m pytest --numprocesses 2

lint: .venv/.test ## ruff, mypy and the import contracts
	@$(BIN)/ruff format --check --quiet . || { echo "run: make fmt"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

fmt: .venv/.test ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

bench: bench-rerank bench-scheduler bench-queue bench-quality bench-search ## every benchmark, results in benchmarks/results

bench-rerank: .venv/.test ## B1, B2, B4: the Qwen3 engine beside its peers
	@$(BIN)/python benchmarks/rerank.py

bench-scheduler: .venv/.test ## B3: the rerank scheduler beside its peers on a simulated device
	@$(BIN)/python benchmarks/scheduler.py

bench-queue: .venv/.test ## B6: a round trip through the rerank queue beside raw Redis and Celery
	@$(BIN)/python benchmarks/rerank_queue.py

bench-store: .venv/.test ## B5: both stores: writing, recall, and what an index costs in recall
	@$(BIN)/python benchmarks/store.py

bench-scaling: .venv/.test ## the embedded store from 1,000 to 200,000 chunks: ingest, searches, memory, disk
	@$(BIN)/python benchmarks/scaling.py $(ARGS)

bench-ingest: .venv/.test ## B8: the ingest pipeline beside the embedder alone
	@$(BIN)/python benchmarks/ingest.py

bench-peers: .venv/.test .venv-peers/.peers ## Twofold beside LangChain, LlamaIndex, Haystack and txtai: speed
	@$(BIN)/python -m benchmarks.peers prepare
	@$(BIN)/python -m benchmarks.peers speed

bench-peers-quality: .venv/.test .venv-peers/.peers ## the same: nDCG@10; ARGS="cranfield --only txtai" for a part
	@$(BIN)/python -m benchmarks.peers quality $(ARGS)

bench-targets: .venv/.test ## the figure of every target, from the results that are there
	@$(BIN)/python benchmarks/targets.py

bench-parse: .venv/.test ## B8: parsing and chunking beside the libraries alone, and beside hostile files
	@$(BIN)/python benchmarks/parse.py

fuzz: .venv/.test ## 50,000 requests made up from the OpenAPI document; ARGS="--seed 1 --count 5000"
	@$(BIN)/python benchmarks/fuzz_api.py $(ARGS)

fuzz-parse: .venv/.test ## thousands of damaged files of each format through the sandbox
	@$(BIN)/python benchmarks/fuzz.py

bench-quality: .venv/.test ## B9: nDCG@10 of every stage on the collections in ../shared; ARGS="scifact xquad/en:de --every 2" for a part
	@$(BIN)/python benchmarks/quality.py $(ARGS)

bench-search: .venv/.test ## B7: latency of /search and the share of each stage
	@$(BIN)/python benchmarks/search.py

bench-recovery: .venv/.test ## B10: 12,000 documents over 85 killed ingestion workers (half an hour)
	@$(BIN)/python benchmarks/recovery.py

bench-overload: .venv/.test ## goodput, refusals and memory when more is asked than can be done
	@$(BIN)/python benchmarks/overload.py

screenshots: .venv/.test ## the pictures of the page in docs/images, where a Chromium is installed
	@$(BIN)/python docs/images/make_screenshots.py

clean: ## remove the environment and what tools left behind (never ./data)
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache dist
