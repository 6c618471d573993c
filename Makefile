# Two commands do everything: `make demo` and `make test`. Both set themselves up; neither needs root.
# The system's own interpreters first: distributions build theirs with profile-guided optimisation, which version
# managers leave out unless they are told; docs/performance.md says what that is worth.
PYTHON ?= $(shell for each in /usr/bin/python3.11 /usr/bin/python3.12 /usr/bin/python3.13 \
  python3.11 python3.12 python3.13 python3; do \
  $$each -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
BIN := .venv/bin
# tests wait more than they work; files in their order, since the largest are not the longest
JOBS ?= 3

.PHONY: help setup native docs demo test check format bench bench-fleet soak console-pictures page-pictures lock clean

help:
	@echo "make demo     try it: provider, upstream, store and gateway in this terminal"
	@echo "make test     everything: lint, types, import contracts, tests"
	@echo "make check    the quick ones: lint, types, import contracts"
	@echo "make native   compile what is on the way of every request; workers run it as long as the source is the same"
	@echo "make docs     build the site into build/site/html"
	@echo "make format   let ruff format and fix"
	@echo "make bench    measure beside other proxies; QUICK=1 for a minute, and its floors"
	@echo "make bench-fleet  from a revocation to the last worker's refusal, under load"
	@echo "make soak     logins, refreshes, reloads, WebSockets: nothing may fail, nor memory grow by 1 MiB a minute; SECONDS=180"
	@echo "make console-pictures  take the pictures of the console that docs/console.md shows"
	@echo "make page-pictures     take the pictures of the pages that docs/pages.md shows"
	@echo "make lock     resolve the dependencies anew (needs uv)"

setup: .venv/.installed

# what the gateway itself needs: all that the demo runs on
.venv/.runtime: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Python 3.11 or newer with venv is needed (Debian: python3-venv); name one:" \
	    "make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@echo "setting up .venv from requirements.lock with $(PYTHON) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "token-gateway.pth").write_text(str(pathlib.Path.cwd()) + "\n")'
	@printf '#!%s\nimport sys\nfrom gateway.cli.main import main\nsys.exit(main())\n' "$(CURDIR)/$(BIN)/python" > $(BIN)/gateway && chmod 755 $(BIN)/gateway
	@touch $@

# what tests and benchmarks need beside it; axe-core comes without the browser driver that its package asks for
.venv/.installed: .venv/.runtime requirements-dev.lock requirements-tools.lock
	@echo "adding the tools of requirements-dev.lock ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-tools.lock
	@touch $@

console-pictures: setup
	@$(BIN)/python -m tests.support.console_pictures docs/images/console

page-pictures: setup
	@$(BIN)/python -m tests.support.screenshots docs/images/pages

demo: .venv/.runtime
	@exec $(BIN)/python -m gateway demo $(ARGS)

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# offline, with every link checked; what is made from the code is made anew
docs: setup
	@exec $(BIN)/python docs/build.py $(ARGS)

# compiled, workers take half the time for a request; without a C compiler they run the source
native: setup
	@$(BIN)/python deploy/native.py

test: check native
	@exec $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

format: setup
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: native
	@QUICK="$(QUICK)" exec $(BIN)/python -m tests.bench $(ARGS)

bench-fleet: native
	@exec $(BIN)/python -m tests.bench.fleet $(ARGS)

soak: native
	@exec $(BIN)/python -m tests.bench.soak $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

lock:
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet \
	  --extra embedded --extra otel pyproject.toml -o requirements.lock $(if $(UPGRADE),--upgrade)
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet \
	  --extra embedded --extra otel --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock $(if $(UPGRADE),--upgrade)
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet \
	  --group build -c requirements-dev.lock -o requirements-build.lock
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet \
	  --group apps -o requirements-apps.lock $(if $(UPGRADE),--upgrade)

clean:
	@rm -rf .venv .demo .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info
