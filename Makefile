# Two commands on a fresh machine that has python3 (3.11 or later) and make: `make demo`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
NOTEBOOKS := results/notebooks
# uv then trusts the machine's certificates, as pip does.
export UV_SYSTEM_CERTS := 1
# Every process would compile the libraries anew where the environment forbids it to keep bytecode.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test test-notebooks test-study test-faults test-fuzz test-slurm report lab lint bench bench-tests bench-peers gpu study controls coverage schema tables maps picture lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "rdrepro needs Python 3.11 or later; name one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "python3 cannot make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet 'uv>=0.9'
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@$(BIN)/python -c 'import torchvision' || \
	  { echo "torch and torchvision do not fit together: install both from the same package index"; exit 1; }
	@touch $@

demo: $(VENV)/.installed  ## run the main notebook on embedded data and print its row
	@mkdir -p $(NOTEBOOKS)
	$(BIN)/papermill notebooks/01_mvtec.ipynb $(NOTEBOOKS)/demo.ipynb -p preset demo -p category wood
	@$(BIN)/python -m rdrepro
	@echo "The executed notebook, with its figures: $(NOTEBOOKS)/demo.ipynb"

test: $(VENV)/.installed  ## lint, then the tests and every notebook
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/lint-imports --no-logo > $(VENV)/layers.txt || { cat $(VENV)/layers.txt; exit 1; }
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

report: $(VENV)/.installed  ## every table and figure from rows, as one file: results/report/report.html
	$(BIN)/python benchmarks/write_report.py
	@echo "Tables and figures are in results/tables and results/figures"

lab: $(VENV)/.installed  ## open JupyterLab on copies of the notebooks
	$(BIN)/python -m rdrepro.runs.lab

lint: $(VENV)/.installed  ## mend format and notebooks
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python benchmarks/write_comments.py
	$(BIN)/nbstripout notebooks/*.ipynb

# make bench, or make bench PARTS="step metrics" ROUNDS=3; --help says what each part takes.
bench: $(VENV)/.installed  ## speed, memory and the machine's limits, beside the official code
	$(BIN)/python -m benchmarks.bench $(PARTS) $(if $(ROUNDS),--rounds "$(ROUNDS)")

bench-tests: $(VENV)/.installed  ## promises of speed that are kept or broken, in five minutes
	$(BIN)/python -m pytest benchmarks

$(PEERS)/.installed: benchmarks/requirements-peers.txt | $(VENV)/.installed
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(PEERS)
	$(BIN)/uv pip sync --quiet --python $(PEERS)/bin/python --require-hashes $<
	@touch $@

bench-peers: $(VENV)/.installed $(PEERS)/.installed  ## the same beside anomalib
	$(BIN)/python -m benchmarks.peers $(PARTS) $(if $(ROUNDS),--rounds "$(ROUNDS)")

# A study: make study TABLE=table1 SEEDS=3 CORES=2; TABLE is a table, a study or everything.
export SET ONLY DATA PROFILE
study: $(VENV)/.installed  ## make the missing rows of a table or study: make study TABLE=table1
	@$(BIN)/python -m rdrepro.study "$(or $(TABLE),$(NAME),list)" \
	  $(if $(CORES),--cores "$(CORES)") $(if $(SEEDS),--seeds "$(SEEDS)") \
	  $(if $(GPUS),--gpus "$(GPUS)") $(if $(DEVICE),--device "$(DEVICE)") \
	  $(if $(SET),--set "$$SET") $(if $(ONLY),--only "$$ONLY") $(if $(DATA),--data-root "$$DATA") \
	  $(if $(PROFILE),--profile "$$PROFILE") \
	  $(foreach pair,$(WEIGHTS),--weights "$(pair)") $(if $(DRY_RUN),--dry-run)

# On a machine with a GPU: its own Python and torch, and neither set-up nor network.
# make gpu PYTHON=python3 DATA=folder WEIGHTS=folder CATEGORY=bottle OUT=results/gpu LIMIT=480
gpu:  ## test and time one GPU: make gpu DATA=folder [WEIGHTS=folder]; SMALL=1: a trial on the CPU
	@PYTHONPATH="$(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))" $(PYTHON) -m benchmarks.gpu \
	  $(if $(DATA),--data "$$DATA") $(if $(WEIGHTS),--weights "$(WEIGHTS)") \
	  $(if $(CATEGORY),--category "$(CATEGORY)") $(if $(OUT),--out "$(OUT)") \
	  $(if $(LIMIT),--limit "$(LIMIT)") $(if $(SMALL),--small)

test-notebooks: $(VENV)/.installed  ## every notebook in a kernel of its own, under nbval
	OMP_NUM_THREADS=1 RDREPRO_NBVAL=all $(BIN)/python -m pytest tests/notebooks -k nbval

test-study: $(VENV)/.installed  ## all embedded categories through the workflow, killed on the way
	OMP_NUM_THREADS=1 RDREPRO_STUDY=all $(BIN)/python -m pytest tests/study/test_workflow.py

test-faults: $(VENV)/.installed  ## kill a small study at 200 random moments; no row is lost or wrong
	OMP_NUM_THREADS=1 RDREPRO_KILLS=200 $(BIN)/python -m pytest tests/faults

test-fuzz: $(VENV)/.installed  ## a thousand cases of hostile and broken input
	OMP_NUM_THREADS=1 RDREPRO_FUZZ=1000 $(BIN)/python -m pytest tests/fuzz

test-slurm: $(VENV)/.installed  ## the workflow on a Slurm cluster of one host (Debian, root)
	bash tests/slurm/run.sh

controls: $(VENV)/.installed  ## how hard the embedded data are: random teacher, raw patches
	$(BIN)/python benchmarks/controls.py

coverage: $(VENV)/.installed  ## simulate how often the report's intervals hold the truth
	$(BIN)/python -m rdrepro.study.coverage

schema: $(VENV)/.installed  ## write the schema of rows from the fields of RunConfig
	$(BIN)/python -m rdrepro.runs.schema

tables: $(VENV)/.installed  ## write RESULTS.md, the tables of README.md and results/tables from rows
	$(BIN)/python benchmarks/write_tables.py

maps: $(VENV)/.installed  ## draw anomaly maps of the embedded runs: results/figures/maps
	$(BIN)/python benchmarks/maps.py

picture: $(VENV)/.installed  ## draw README.md's picture from embedded data
	$(BIN)/python benchmarks/picture.py

lock: $(VENV)/.installed  ## pin every dependency anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --extra dev --extra study \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
	  -o requirements.lock pyproject.toml

clean:  ## remove what the targets made, but for result rows
	rm -rf $(VENV) .snakemake $(NOTEBOOKS) results/scratch results/jobs results/checks results/models results/synthetic results/report results/tables results/gpu
