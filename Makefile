# `make rehearsal` runs the runbook on the rehearsal cloud, `make test` runs every check; each sets up what it needs.

USABLE := import ensurepip, os, sys, venv; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit(1); print(os.path.realpath(sys.executable))
VERSIONS = $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.$(1).*/bin/python3.$(1))
# The first of the Pythons 3.N that really runs and can make virtual environments; PYTHON= names one for everything.
find = $(shell for python in $(foreach minor,$(1),python3.$(minor) $(call VERSIONS,$(minor))) python3; do \
    $$python -c '$(USABLE)' 2> /dev/null && break; done)

BIN := $(CURDIR)/.venv/bin

# Ansible finds the collection through a link back to this checkout, and nothing else of the user's.
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.venv/collections

.DEFAULT_GOAL := help
.PHONY: help
help: ## Show what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: venv
venv: .venv/.ready ## Make just the environment, .venv

# Each environment has a Python, an ansible-core and a set of the Azure libraries. The first two are the ends of what is supported; the
# others cross them, each with the Python at the other end of what its ansible-core allows.
.venv/.ready: PYTHON = $(call find,13 12 11)
.venv/.ready: $(addprefix tests/requirements/,sdk-newest.txt core-newest.txt tools.txt)

.venv-lowest/.ready: PYTHON = $(call find,11 12 13)
.venv-lowest/.ready: $(addprefix tests/requirements/,sdk-lowest.txt core-lowest.txt)

.venv-lowest-core/.ready: PYTHON = $(call find,12 11 13)
.venv-lowest-core/.ready: $(addprefix tests/requirements/,sdk-newest.txt core-lowest.txt)

.venv-lowest-sdk/.ready: PYTHON = $(call find,12 11 13)
.venv-lowest-sdk/.ready: $(addprefix tests/requirements/,sdk-lowest.txt core-newest.txt)

%/.ready:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 with its venv module is needed, and none was found; name one with PYTHON=" >&2; exit 1; }
	$(PYTHON) -m venv --clear $*
	$*/bin/python -m pip install -qq --disable-pip-version-check $(addprefix --requirement ,$^)
	mkdir -p $*/collections/ansible_collections/cloudops
	ln -s ../../../.. $*/collections/ansible_collections/cloudops/azure_dr
	touch $@

# What `make rehearsal` takes: an estate file, a file of variables for the runbook, a file for the traffic log, a file of rules for what
# goes wrong, and how many times faster than Azure it goes.
.PHONY: rehearsal
rehearsal: venv ## Rehearse the runbook; ESTATE=, VARS=, TRAFFIC=, FAULTS= name files of your own, SPEED= a number
	$(BIN)/python extensions/rehearsal_cloud/rehearse.py $(if $(ESTATE),--estate '$(ESTATE)') $(if $(VARS),--vars '$(VARS)') \
	    $(if $(TRAFFIC),--traffic '$(TRAFFIC)') $(if $(FAULTS),--faults '$(FAULTS)') $(if $(SPEED),--speed '$(SPEED)')

.PHONY: test
test: venv .venv-lowest/.ready .venv-lowest-core/.ready .venv-lowest-sdk/.ready ## Run every check, say what was left out; or one: make lint, types, docs, sanity, unit, integration, scenarios, lowest, crossed, molecule
	$(BIN)/python tests/checks

.PHONY: sanity integration scenarios molecule unit lint types docs lowest crossed
sanity integration scenarios molecule unit lint types docs: venv
	$(BIN)/python tests/checks $@

lowest: venv .venv-lowest/.ready
	$(BIN)/python tests/checks $@

crossed: venv .venv-lowest-core/.ready .venv-lowest-sdk/.ready
	$(BIN)/python tests/checks lowest-core lowest-sdk

.PHONY: clean
clean: ## Remove what the other targets made
	rm -rf .venv .venv-lowest .venv-lowest-core .venv-lowest-sdk build
