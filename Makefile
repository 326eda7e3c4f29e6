# Two commands: `make study` and `make test`. Both need Python 3.11 and nothing else.
PYTHON ?= python3.11
SIZE ?= tiny
LOCKS = $(addprefix envs/,$(addsuffix .lock,build cpu torch cuda study))
export OMP_NUM_THREADS ?= 1
export PATH := $(CURDIR)/.venv/bin:$(PATH)

study: .venv/study  ## the default study, up to results/quickstart/report.html
	snakemake
	@python -m switchpoint conclude results/quickstart

shell: .venv/study  ## a shell in which snakemake and switchpoint are found
	@exec "$$SHELL"

test: .venv/tests  ## everything that a change must pass
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint
	python -m switchpoint docs --check
	pytest -n logical --maxprocesses 4 --dist worksteal

site: .venv/tests  ## the documentation as a site, site/index.html; `mkdocs serve` while it is written
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

test-slurm: .venv/tests  ## the same on a toy SLURM cluster of this machine; root, on Debian
	sh tests/slurm/install.sh
	python tests/slurm/bed.py up
	pytest -n 3 --dist loadfile tests/slurm; ended=$$?; python tests/slurm/bed.py down; exit $$ended

# As root, those on the toy cluster, too.
soak: .venv/tests  ## the long checks
	pytest -m soak tests/unit tests/workflow tests/soak $(if $(filter 0,$(shell id -u)),tests/slurm)

bench: .venv/benchmarks  ## training and sampling beside their peers; SIZE=10M for a larger model
	python benchmarks/rl_step.py --size $(SIZE)
	python benchmarks/sft_step.py --size $(SIZE)
	python benchmarks/sampler.py --size $(SIZE)

.venv/study: envs/install.sh $(LOCKS) pyproject.toml
	@echo "installing the packages that the study needs into .venv"
	@$(PYTHON) -m venv .venv
	@sh envs/install.sh
	@touch $@

.venv/tests: .venv/study envs/tests.lock
	@pip install -q --disable-pip-version-check --no-deps --no-build-isolation --require-hashes -r envs/tests.lock
	@touch $@

.venv/benchmarks: .venv/tests envs/benchmarks.lock
	@pip install -q --disable-pip-version-check --no-deps --require-hashes -r envs/benchmarks.lock
	@touch $@

clean:  ## removes the default study's results
	rm -rf results/quickstart

.PHONY: study shell test site test-slurm soak bench clean
