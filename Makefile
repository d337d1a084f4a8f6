# Two commands for a newcomer: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PORT ?= 8765

.PHONY: demo test lint check lock clean

demo: $(READY) ## data, seven models compared, report, verified bundle, served answer
	$(BIN)/recsys-lab data describe
	$(BIN)/recsys-lab compare +params.sasrec.max_epochs=12 +params.two_tower.max_epochs=10
	$(BIN)/recsys-lab report
	$(BIN)/recsys-lab export best
	$(BIN)/python experiments/ask.py --port $(PORT)

test: $(READY) ## the test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4

lint: $(READY) ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test ## all of it

lock: $(READY) ## write the installed versions to requirements.lock
	(head -1 requirements.lock; $(BIN)/pip freeze --exclude-editable | sed 's/+cpu//') > requirements.new
	mv requirements.new requirements.lock

$(READY): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.lock)"
	# the lock is complete, and recbole's metadata would bring ray, which nothing here uses
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

clean: ## remove what the commands above made
	rm -rf $(VENV) experiments/runs experiments/prepared experiments/studies export/bundles reports/latest
