# Every target sets itself up: all it needs is make and a Python (3.11 to 3.13) called python3, or PYTHON=...
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test test-slow docs bench papers study-thesis clean

help:
	@echo "make demo       a generator, its samples and whether they help, on the embedded digits"
	@echo "make test       lint, types and the quick tests"
	@echo "make test-slow  the tests that take longer"
	@echo "make docs       the documentation, into site/"
	@echo "make bench      the speed of every part against what it competes with, into docs/performance.md (MNIST_ROOT=folder)"
	@echo "make papers     the papers' tables, into docs/papers.md and results.md; takes days, goes on where it stopped (MNIST_ROOT=folder)"
	@echo "make study-thesis  a thesis's four questions on the digits, and on MNIST where MNIST_ROOT names its folder"
	@echo "make clean      remove .venv and build outputs"

# One stamp for each set of extras: installed again only when pyproject.toml changes.
.venv/.made:
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), f"genaug needs Python 3.11 to 3.13, $(PYTHON) is {sys.version.split()[0]}: make PYTHON=python3.12"'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.installed: pyproject.toml | .venv/.made
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

.venv/.installed-%: pyproject.toml | .venv/.made
	$(BIN)/python -m pip install --quiet -e ".[$*]"
	@touch .venv/.installed $@

demo: .venv/.installed
	$(BIN)/genaug demo --overwrite

test: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy genaug plugins
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

test-slow: .venv/.installed-dev
	$(BIN)/pytest -m slow

docs: .venv/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# One thread: with more, torch's own threads would compete with the loader's workers for two cores.
SPEED := OMP_NUM_THREADS=1 $(BIN)/python benchmarks/speed
bench: .venv/.installed .venv/.installed-timm .venv/.installed-ray
	$(SPEED)/start.py
	$(SPEED)/loader.py $(if $(MNIST_ROOT),--root $(MNIST_ROOT))
	$(SPEED)/sampling.py
	$(SPEED)/on_the_fly.py
	$(SPEED)/pool_refresh.py
	$(SPEED)/scale.py
	$(SPEED)/growth.py
	$(SPEED)/shards.py
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target .venv/torchgan torchgan==0.1.0
	PYTHONPATH=.venv/torchgan $(BIN)/python benchmarks/speed/training.py --json
	$(BIN)/python benchmarks/speed/performance_page.py

papers: .venv/.installed
	$(BIN)/python benchmarks/papers/run_all.py

study-thesis: .venv/.installed
	$(BIN)/python benchmarks/studies/study_thesis.py --data digits --json
ifdef MNIST_ROOT
	$(BIN)/python benchmarks/studies/study_thesis.py --root $(MNIST_ROOT) --json
endif
	$(BIN)/python benchmarks/papers/results_page.py

clean:
	rm -rf .venv build dist site .mypy_cache .pytest_cache .ruff_cache
