# Every target makes .venv itself, from the lock file with hashes. Nothing else is needed
# than Python 3.11 or newer and make.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help install run test lint docs bench lock clean

help: ## show this text
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "kcm needs Python 3.11 or newer: make PYTHON=python3.11 …"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@# setuptools warns about folders of the same name, which is what an editable install wants
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

install: $(READY) ## make .venv with kcm in it (all other targets do, too)

run: $(READY) ## start an embedded control plane with the manager on it
	@$(BIN)/kcm sandbox

lint: $(READY) ## ruff, mypy --strict, import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint ## lint, then all tests
	$(BIN)/pytest

docs: $(READY) ## make the references of metrics, log records, configuration and API anew
	$(BIN)/python -m tools.reference

bench: $(READY) ## measure speed, memory and fail-over (ARGS="--kubeconfig F" for a real cluster)
	$(BIN)/python -m benchmarks $(ARGS)

lock: $(READY) ## resolve the dependencies anew
	$(BIN)/python -m piptools compile --quiet --extra dev --generate-hashes --allow-unsafe --strip-extras \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header -o requirements.lock pyproject.toml

clean: ## remove .venv and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info
