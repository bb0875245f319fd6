# Everything runs in environments of its own next to the code: nothing is installed outside this folder.
PYTHON ?= python3
PIP_FLAGS = --disable-pip-version-check --quiet --no-compile
# Two workers suit two processors; more would only wait for each other.
WORKERS ?= 2

.PHONY: demo test lint test-lowest test-all bench clean

demo: .venv/installed  ## install, then ask the sample texts one question
	@.venv/bin/crossrank demo
	@echo 'Ask your own files: .venv/bin/crossrank search "Your question?" notes/ report.pdf'

test: .venv/tested lint  ## the suite, from PyPI packages alone, without PyTorch
	.venv/bin/python -m pytest -n $(WORKERS) -m "not parity and not sagemaker and not clients"

lint: .venv/tested
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

# Old releases next to new ones warn of each other; where everything is new, in `make test`, warnings are errors.
test-lowest: .venv-lowest/installed  ## the suite with the lowest releases that pyproject.toml allows
	.venv-lowest/bin/python -m pytest -n $(WORKERS) -m "not parity and not sagemaker and not clients" -W default

test-all: .venv-parity/installed .venv-sagemaker/installed .venv-clients/installed  ## PyTorch; SageMaker's own parts; clients of reranking APIs
	.venv-parity/bin/python -m pytest -n $(WORKERS) -m parity
	.venv-sagemaker/bin/python -m pytest -m sagemaker tests/sagemaker tests/server
	.venv-clients/bin/python -m pytest -m clients tests/server/test_clients.py -W default

bench: .venv/tested .venv-parity/installed  ## the tables of docs/benchmarks.md that need nothing but this folder; docs/engines.md
	cat src/crossrank/samples/texts/*.txt > .venv/samples.txt
	.venv/bin/python benchmarks/reference_case.py .venv/samples.txt --peer .venv-parity/bin/python
	.venv/bin/python benchmarks/install_size.py
	.venv/bin/crossrank eval src/crossrank/samples/judged
	.venv/bin/python -m benchmarks.engines

clean:
	rm -rf .venv .venv-lowest .venv-parity .venv-sagemaker .venv-clients .venv-bench dist build

.venv/installed: pyproject.toml
	@echo "Installing crossrank into .venv (once; a minute or two) ..."
	@$(PYTHON) -m venv .venv
	@.venv/bin/pip install $(PIP_FLAGS) -e .
	@touch $@

.venv/tested: .venv/installed
	.venv/bin/pip install $(PIP_FLAGS) -e '.[test]'
	@touch $@

.venv-lowest/installed: pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install $(PIP_FLAGS) uv
	.venv-lowest/bin/uv pip install --quiet --no-cache --python .venv-lowest/bin/python \
		--resolution lowest-direct -e '.[test]'
	@touch $@

.venv-parity/installed: pyproject.toml
	$(PYTHON) -m venv .venv-parity
	.venv-parity/bin/pip install $(PIP_FLAGS) -e '.[test,parity]'
	@touch $@

.venv-sagemaker/installed: pyproject.toml
	$(PYTHON) -m venv .venv-sagemaker
	.venv-sagemaker/bin/pip install $(PIP_FLAGS) -e '.[test,sagemaker-parts]'
	@touch $@

.venv-clients/installed: pyproject.toml
	$(PYTHON) -m venv .venv-clients
	.venv-clients/bin/pip install $(PIP_FLAGS) uv
	.venv-clients/bin/uv pip install --quiet --no-cache --python .venv-clients/bin/python -e '.[clients]'
	@touch $@
