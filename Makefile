# The one place to type commands: `make help` lists them, `make` alone checks and tests everything.
# A recipe is a line or two; what needs thought is a program in tools/.

VENV := .venv
PY := $(VENV)/bin/python
CODE := $(wildcard src tests tools benchmarks examples)
SEEDS ?= 500
ARGS ?=
# A worker for each processor; who is done takes tests from the others. ARGS=-n0 does without.
PARALLEL := -n logical --maxprocesses 8 --dist worksteal

# The tests start hundreds of Python processes: let none of them compile the source anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := test
.PHONY: help run test check format sim crash fuzz soak clean
.PHONY: bench-quick bench-short bench bench-scale

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

run: $(VENV)/.server ## watch the whole path at work: the demo
	@$(VENV)/bin/mobilesync demo $(ARGS)

test: check ## check, then run every test (ARGS="-k name" for fewer)
	@$(PY) -m pytest $(PARALLEL) --cov --cov-report=term:skip-covered $(ARGS)

check: $(VENV)/.dev ## lint, format, types and house rules, without running a test
	@$(PY) -m ruff check --quiet $(CODE)
	@$(PY) -m ruff format --check --quiet $(CODE) || (echo "Run 'make format'."; exit 1)
	@$(PY) -m mypy $(CODE)
	@$(PY) -m tools.tidy

format: $(VENV)/.dev ## lay the source out, and mend what lint can mend
	@$(PY) -m ruff check --quiet --fix $(CODE)
	@$(PY) -m ruff format $(CODE)

sim: $(VENV)/.dev ## simulate SEEDS seeds (500) of faults in virtual time
	@$(VENV)/bin/mobilesync sim --seeds $(SEEDS) $(ARGS)

crash: $(VENV)/.dev ## kill the real server and cut its disk, again and again
	@$(PY) -m pytest -m "" --timeout=1800 tests/crash $(ARGS)

bench-quick: $(VENV)/.bench ## every work for a few seconds, with all peers: does it still run?
	@$(PY) -m benchmarks --quick --compiled $(ARGS)

bench-short: $(VENV)/.bench ## every work in fewer rounds, into docs/benchmarks (25 minutes)
	@$(PY) -m benchmarks --short --compiled $(ARGS)

bench: $(VENV)/.bench ## every work beside the peers, into docs/benchmarks (90 minutes)
	@$(PY) -m benchmarks --compiled $(ARGS)

bench-scale: $(VENV)/.bench ## does cost stay flat with channels and stored oplogs? (15 minutes)
	@$(PY) -m benchmarks --compiled --work SCALE --out build/bench-scale.json $(ARGS)

fuzz: $(VENV)/.dev ## look for new inputs that break the protocol
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@$(PY) -m tools.fuzz_codec $(ARGS)
	@$(PY) -m pytest --hypothesis-profile=fuzz --timeout=1800 tests/protocol

soak: $(VENV)/.dev ## the tests that take minutes
	@$(PY) -m pytest -m soak --timeout=3600 $(ARGS)

clean: ## remove what was built, and .venv
	@rm -rf $(VENV) build dist htmlcov .coverage .coverage.* \
	  .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp says that its extras are installed; a change of pyproject.toml makes it old.
$(VENV)/.server: pyproject.toml | $(PY)
	@echo "Installing Mobilesync into $(VENV) (once) …"
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[server]'
	@touch $@

$(VENV)/.dev: pyproject.toml tools/system_packages.py | $(PY)
	@echo "Installing Mobilesync and its development tools into $(VENV) (once) …"
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[server,dev]'
	@$(PY) -m tools.system_packages
	@touch $(VENV)/.server $@

$(VENV)/.bench: pyproject.toml | $(VENV)/.dev
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

$(PY):
	@python=$$(sh tools/pick_python.sh) && "$$python" -m venv $(VENV)
