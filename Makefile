# `make rehearsal` runs the runbook on the rehearsal cloud, `make test` runs every check; each sets up what it needs.

USABLE := import ensurepip, os, sys, venv; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit(1); print(os.path.realpath(sys.executable))

# The first Python from 3.13 to 3.11 that really runs and can make virtual environments.
ifndef PYTHON
PYTHON := $(shell for python in python3.13 python3.12 python3.11 python3; do \
    $$python -c '$(USABLE)' 2> /dev/null && break; done)
endif

VENV := .venv
LOWEST := .venv-lowest
BIN := $(CURDIR)/$(VENV)/bin

# Ansible finds the collection through a link back to this checkout, and nothing else of the user's.
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/$(VENV)/collections

.DEFAULT_GOAL := help
.PHONY: help
help: ## Show what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: venv
venv: $(VENV)/.ready ## Make just the environment, .venv

$(VENV)/.ready: requirements-dev.txt
$(LOWEST)/.ready: requirements-lowest.txt

%/.ready:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 with its venv module is needed, and none was found; name one with PYTHON=" >&2; exit 1; }
	$(PYTHON) -m venv --clear $*
	$*/bin/python -m pip install -qq --disable-pip-version-check --requirement $<
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
test: venv $(LOWEST)/.ready ## Run every check, say what was left out; or one: make lint, types, docs, sanity, unit, integration, lowest, molecule
	$(VENV)/bin/python tests/checks

.PHONY: sanity integration molecule unit lint types docs lowest
sanity integration molecule unit lint types docs: venv
	$(VENV)/bin/python tests/checks $@

lowest: venv $(LOWEST)/.ready
	$(VENV)/bin/python tests/checks $@

.PHONY: clean
clean: ## Remove what the other targets made
	rm -rf $(VENV) $(LOWEST) build
