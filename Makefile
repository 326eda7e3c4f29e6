# Two commands: `make study` and `make test`. Both need Python 3.11 and nothing else.
PYTHON ?= python3.11
SIZE ?= tiny
export OMP_NUM_THREADS ?= 1
export PATH := $(CURDIR)/.venv/bin:$(PATH)

study: .venv/study  ## the default study, up to results/quickstart/report.html
	snakemake

test: .venv/tests  ## everything that a change must pass
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint
	python -m switchpoint docs --check
	pytest

soak: .venv/tests  ## the long checks
	pytest -m soak tests

bench: .venv/benchmarks  ## training and sampling beside their peers; SIZE=10M for a larger model
	python benchmarks/rl_step.py --size $(SIZE)
	python benchmarks/sft_step.py --size $(SIZE)
	python benchmarks/sampler.py --size $(SIZE)

.venv/torch:
	$(PYTHON) -m venv .venv
	pip install -q torch==2.13.0
	touch $@

.venv/study: .venv/torch envs/study.lock pyproject.toml
	pip install -q --no-deps -r envs/study.lock
	pip install -q --no-deps -e .
	touch $@

.venv/tests: .venv/study envs/tests.lock
	pip install -q --no-deps -r envs/tests.lock
	touch $@

.venv/benchmarks: .venv/tests envs/benchmarks.lock
	pip install -q --no-deps -r envs/benchmarks.lock
	touch $@

clean:  ## removes the default study's results
	rm -rf results/quickstart

.PHONY: study test soak bench clean
