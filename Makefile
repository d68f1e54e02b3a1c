# One line per target; `make` alone lists them. PROJECT=dir names the folder of your infra.yml (default: this one).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# a folder's name may hold whatever a shell can quote, but for what make or Ansible would read as something else
ifneq ($(words $(MAKEFILE_LIST) $(CURDIR)),2)
$(error this folder has a space in its path, which Ansible's tools cannot do: move the clone to another place)
endif
quote = '$(subst ','\'',$(1))'
PROJECT ?= .
override PROJECT := $(shell p=$(call quote,$(value PROJECT)); [[ $$p != '~' && $$p != '~/'* ]] || p=$$HOME$${p:1}; realpath -ms -- "$$p")
ifneq ($(strip $(foreach sign,$$ : { },$(findstring $(sign),$(value PROJECT)))),)
$(error PROJECT=$(value PROJECT) has a $$, a colon or a brace in its path, which Ansible reads as something else: rename the folder)
endif
PYTHON ?= $(shell scripts/find-python)
VENV ?= .venv
ARGS ?=

ROOT := $(patsubst %/,%,$(dir $(realpath $(lastword $(MAKEFILE_LIST)))))
COLLECTIONS := $(ROOT)/.cache/collections
INVENTORY := $(call quote,$(PROJECT)/inventory)

export PROJECT
export PATH := $(ROOT)/$(VENV)/bin:$(PATH)
export ANSIBLE_CONFIG := $(ROOT)/ansible.cfg
export ANSIBLE_COLLECTIONS_PATH := $(COLLECTIONS)
export ANSIBLE_ROLES_PATH := $(PROJECT)/roles:$(PROJECT)/roles_custom:$(PROJECT)/roles_vendor
export ANSIBLE_HOME := $(ROOT)/.cache/ansible
# what other Incus servers know this project by, for apply and for the connection to instances there
ifneq ($(shell ls $(call quote,$(PROJECT)/secrets/incus/client.crt) 2>/dev/null),)
export INCUS_CONF ?= $(PROJECT)/secrets/incus
endif

# what people see (docs/reference/output.md), but where another callback is asked for
people = env ANSIBLE_STDOUT_CALLBACK=$${ANSIBLE_STDOUT_CALLBACK:-anklume.stt.progress}
# a playbook on the Incus host itself, and one on the instances of the project
local_play = $(people) ansible-playbook $(ARGS) anklume.stt.$(1)
play = $(people) ANSIBLE_HOST_PATTERN_MISMATCH=error ansible-playbook -i $(INVENTORY) $(ARGS) anklume.stt.$(1)
# what plan and apply may do in Incus: PRUNE=1 ADOPT=1 CONFIRM=machine,machine BACKUP=0 WORKERS=4
incus_options = $(if $(PRUNE),-e infra_apply_prune=true) $(if $(ADOPT),-e infra_apply_adopt=true) $(if $(CONFIRM),-e infra_apply_confirm=$(CONFIRM)) \
  $(if $(filter 0 no,$(BACKUP)),-e infra_apply_backup=false) $(if $(WORKERS),-e infra_apply_workers=$(WORKERS))

##@ First steps
.PHONY: help demo demo-clean host
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@ / {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
	  /^[a-z -]+:.*## / {printf "  \033[36mmake %-23s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
demo: ## from nothing to a sentence that was spoken and recognised, in containers of its own
	@scripts/demo
demo-clean: venv ## remove all that the demo made, and nothing else
	@scripts/demo clean
host: venv ## install and start Incus on this machine, with a storage pool, a bridge and the base image
	@$(call local_play,host)

##@ Planning
.PHONY: fit
fit: venv ## which model fits the GPU, in which compute type, as a table; GPU="RTX 3060" plans for one that is not here
	@$(call local_play,fit) | scripts/vram-colours

##@ Every day (PROJECT=dir names the folder of your infra.yml; ARGS="--limit homelab-ai -v" goes to ansible-playbook)
.PHONY: init check sync sync-dry sync-clean plan apply apply-infra apply-limit apply-stt verify doctor doctor-metrics preflight logs bench-service monitor-host remote-add destroy
# what is said on the command line; a variable of the environment that happens to have that name is not meant
said = $(if $(findstring command,$(origin $(1))),$(if $($(1)),-e '{"$(2)": "$($(1))"}'))
init: venv ## look at this machine, write infra.yml and host_vars that end in speech here; GPU=no OLLAMA=yes PORT=8443 SPOKEN=fr …
	@$(call local_play,init) $$(if [ -t 0 ] && (: </dev/tty) 2>/dev/null; then printf %s --extra-vars=init_ask=true; fi) $(call said,NAME,init_name) $(call said,GPU,init_gpu) \
	  $(call said,OLLAMA,init_ollama) $(call said,PORT,init_port) $(call said,SUBNET,init_subnet) $(call said,ENGINE,init_engine) \
	  $(call said,MODEL,init_model) $(call said,MODEL_SOURCE,init_model_source) $(call said,SPOKEN,init_language)
check: venv ## say every fault of infra.yml at once; changes nothing
	@$(call local_play,check)
sync: venv ## infra.yml → inventory/, host_vars/, group_vars/
	@$(call local_play,sync)
sync-dry: venv ## what sync would write, as a diff
	@$(call local_play,sync) --check --diff
sync-clean: venv ## sync, and remove the files of machines that are gone
	@$(call local_play,sync_clean)
plan: venv ## what apply would change, as a diff; PRUNE=1 also what infra.yml no longer names
	@$(call play,plan) --check --diff $(incus_options)
apply: venv ## do what plan shows, in Incus and in the services, and verify
	@$(call play,apply) $(incus_options)
apply-infra: venv ## the Incus part alone
	@$(call local_play,infra) $(incus_options)
apply-limit: venv ## Incus as a whole, but the services of one group or machine; G=homelab
	@$(if $(G),,$(error which group or machine? make $@ G=homelab))$(call play,apply) --limit 'localhost,$(G)' $(incus_options)
apply-stt: venv ## the STT role alone
	@$(call play,stt)
verify: venv ## every hop from the instance to a recognised sentence, as a table; changes nothing
	@$(call play,verify)
docker_yml = $(if $(shell ls $(call quote,$(PROJECT)/docker.yml) 2>/dev/null),-i $(call quote,$(PROJECT)/docker.yml))
doctor: venv ## what is wrong, why, and the command that mends it; CHECK=NET-03 FAIL_ON=warning JSON=file
	@FAIL_ON=$(call quote,$(FAIL_ON)) CHECK=$(call quote,$(CHECK)) JSON=$(call quote,$(JSON)) scripts/doctor $(ARGS)
doctor-metrics: venv ## what the doctor finds, for node-exporter; TO=file
	@$(if $(TO),,$(error where to? make $@ TO=/var/lib/prometheus/node-exporter/doctor.prom))python scripts/doctor_textfile.py $(call quote,$(TO))
preflight: venv ## ready or not, as a list: WHEN=before the first apply, WHEN=after (usual) for production, SLOW=1 with long recordings
	@$(call local_play,preflight) -i $(INVENTORY) $(docker_yml) -e preflight_when=$(call quote,$(or $(WHEN),after)) $(if $(SLOW),-e preflight_slow=true) $(if $(JSON),-e preflight_json=$(call quote,$(JSON)))
logs: venv ## the logs of all services in one stream, with machine and unit; SINCE=-1h FOLLOW=1
	@python scripts/logs.py $(INVENTORY) $(call quote,$(or $(SINCE),-10min)) $(if $(FOLLOW),--follow)
bench-service: venv ## how fast your STT server is, as a table and a plot, in PROJECT/bench; QUICK=1 (3 minutes at most) MACHINE=name FORCE=1
	@python scripts/bench_service.py $(call quote,$(PROJECT)) $(if $(QUICK),--quick) $(if $(FORCE),--force) \
	  $(if $(MACHINE),--machine $(call quote,$(MACHINE))) $(ARGS)
monitor-host: venv ## as root: node-exporter and the GPU's numbers on the Incus host, for the role monitoring; STATE=absent takes them away
	@$(call play,monitor_host) $(if $(STATE),-e wanted_state=$(call quote,$(STATE)))
remote-add: ## have an Incus server on another machine trust this project; NAME=gpu-room TOKEN=… (there: incus config trust add NAME)
	@$(if $(and $(NAME),$(TOKEN)),,$(error which server? there, incus config trust add NAME gives a token; here, make $@ NAME=name TOKEN=token))scripts/remote-add $(call quote,$(PROJECT)) $(call quote,$(NAME)) $(call quote,$(TOKEN))
destroy: venv ## delete everything that this infra.yml made in Incus; asks for the project's name
	@$(call local_play,destroy) $(incus_options)

##@ With Docker (the hosts are in docker.yml, beside infra.yml)
.PHONY: compose compose-verify migrate migrate-back migrate-finish
there_is_docker_yml = [ -e $(call quote,$(PROJECT)/docker.yml) ] || \
  { echo "there is no docker.yml in $$PROJECT: write it, as docs/how-to/with-docker.md shows" >&2; exit 2; }
on_docker = $(people) ANSIBLE_HOST_PATTERN_MISMATCH=error ansible-playbook -i $(call quote,$(PROJECT)/docker.yml) --limit $(call quote,$(1)) $(ARGS) anklume.stt.$(2)
move = $(there_is_docker_yml); $(call on_docker,$(NAME),move) $(call said,NAME,move_name) -e move_direction=$(1)
migrate: venv ## a faster-whisper-server in variables for a host; FROM=compose file, env file or what docker inspect prints, NAME=host SERVICE=name; APPLY=1 moves, WEBUI=http://… switched too
	@$(if $(FROM),,$(error from what? make $@ FROM=compose.yaml NAME=host))$(if $(NAME),,$(error for which host? make $@ FROM=compose.yaml NAME=host))
	@$(if $(APPLY),[ -e $(call quote,$(PROJECT)/.migration-$(NAME).json) ] || )$(call local_play,migrate) $(call said,FROM,migrate_from) $(call said,NAME,migrate_name) $(call said,SERVICE,migrate_service) $(if $(APPLY),-e migrate_begin=true)
	@$(if $(APPLY),$(call move,ahead) $(call said,WEBUI,move_webui) $(call said,CONTAINER,move_container) $(call said,CLIP,move_clip) $(if $(SWITCHED),-e move_switched=true))
migrate-back: venv ## the move undone: the old server starts, Open WebUI asks it again, the new one stops; NAME=host
	@$(if $(NAME),,$(error which host? make $@ NAME=host))$(call move,back)
migrate-finish: venv ## a day after the move: removes the old server's container, and not its volumes; NAME=host NOW=1
	@$(if $(NAME),,$(error which host? make $@ NAME=host))$(call move,finish) $(if $(NOW),-e move_at_once=true)
compose: venv ## Speaches as a service of Docker Compose, on a host of the group stt_compose; HOST=name
	@$(if $(HOST),,$(error which host? make $@ HOST=name))$(there_is_docker_yml); $(call on_docker,$(HOST),compose)
compose-verify: venv ## every hop of the hosts with Docker, from the container to a sentence, as a table; HOST=name for one
	@$(there_is_docker_yml); $(people) ANSIBLE_HOST_PATTERN_MISMATCH=error ansible-playbook -i $(call quote,$(PROJECT)/docker.yml) $(ARGS) anklume.stt.compose_verify $(call said,HOST,compose_host)

##@ Snapshots of the instances
.PHONY: snapshot snapshot-domain snapshot-list snapshot-delete restore restore-domain rollback
snapshot_of = $(call local_play,snapshot) $(if $(NAME),-e snapshot_name=$(NAME)) $(if $(D),-e snapshot_domain=$(D))
snapshot: venv ## take one of every instance; NAME=name
	@$(snapshot_of)
snapshot-domain: venv ## take one of every instance of a domain; D=domain NAME=name
	@$(if $(D),,$(error which domain? make $@ D=domain))$(snapshot_of)
snapshot-list: venv ## list them
	@$(call local_play,snapshot_list)
snapshot-delete: venv ## delete one; NAME=name
	@$(if $(NAME),,$(error which snapshot? make $@ NAME=name; make snapshot-list shows them))$(snapshot_of) -e snapshot_state=absent
restore restore-domain: venv ## go back to one; NAME=name, D=domain for one domain only
	@$(if $(NAME),,$(error which snapshot? make $@ NAME=name; make snapshot-list shows them))$(snapshot_of) -e snapshot_state=restored
rollback: venv ## go back to what was there before the last apply
	@$(snapshot_of) -e snapshot_state=rolled_back

##@ Open WebUI
.PHONY: ca ca-renew backup restore-backup
ca: venv ## export the certificate that browsers and phones have to trust, to PROJECT/ca.crt
	@$(call play,ca)
ca-renew: venv ## make a new authority in its place; every device has to trust it anew
	@$(call play,ca_renew)
backup: venv ## back up accounts, chats and settings of every Open WebUI, to PROJECT/backups
	@$(call play,backup)
restore-backup: venv ## put one back; FILE=path, and ARGS="--limit machine" where there are several
	@$(if $(FILE),,$(error which backup? make $@ FILE=path; make backup puts them into backups/))$(call play,restore_backup) -e backup_file=$(abspath $(FILE))

##@ Setup (every target does what it needs by itself)
VENV_STAMP := $(VENV)/.demo
TEST_STAMP := $(VENV)/.test
COLLECTIONS_STAMP := $(COLLECTIONS)/.stamp

.PHONY: venv venv-test
venv: $(VENV_STAMP) $(COLLECTIONS_STAMP) ## Ansible and the collections it needs, in .venv and .cache
venv-test: venv $(TEST_STAMP) ## the test tools too

$(VENV_STAMP): requirements.txt requirements-uv.txt scripts/venv
	@scripts/venv $(VENV) $(PYTHON) requirements.txt
	@touch $@

$(TEST_STAMP): $(VENV_STAMP) requirements-test.txt
	@scripts/venv $(VENV) $(PYTHON) requirements.txt requirements-test.txt
	@touch $@

$(COLLECTIONS_STAMP): $(VENV_STAMP) requirements-collections.txt scripts/link_collections.py galaxy.yml
	@rm -rf .cache/wheels/ansible && mkdir -p .cache/wheels/ansible
	@$(VENV)/bin/python -m pip download -q --disable-pip-version-check --no-deps -r requirements-collections.txt -d .cache/wheels/ansible
	@$(VENV)/bin/python scripts/link_collections.py $(COLLECTIONS) .cache/wheels/ansible/*.whl
	@touch $@

INSTALLED := .cache/installed
IMPORTER_VENV := .cache/venv-importer
.PHONY: archive
archive: venv ## the collection as Galaxy gives it, with what it depends on, installed in .cache/installed
	@python scripts/pack_collections.py $(INSTALLED) .cache/wheels/ansible/*.whl
.PHONY: release
release: venv-test $(IMPORTER_VENV)/.stamp ## the archive of the version in galaxy.yml: tells its changes, builds, checks and shows it
	@scripts/release tell
	@$(MAKE) archive lint-docs test-archive
	@scripts/importer $(IMPORTER_VENV) $(INSTALLED)/archives/anklume-stt-*.tar.gz
	@scripts/release show $(INSTALLED)/archives/anklume-stt-*.tar.gz

##@ Tests
.PHONY: test test-fast test-long test-older lint sanity units test-infra test-doctor test-first-hour test-release bench-sync test-host test-incus test-remote bench-incus bench-apply bench molecule
test: ## everything that can be tested here, real Incus included (50 minutes at most)
	@$(MAKE) venv >/dev/null && python tests/run.py test $(PARTS)
test-fast: ## the linters of Python and YAML, and the units, for the inner loop (under a minute)
	@$(MAKE) venv >/dev/null && python tests/run.py fast $(PARTS)
test-long: ## the long series too: kills, fuzzing, soaks, upgrades, benches, the other Ansible (90 minutes at most)
	@$(MAKE) venv >/dev/null && python tests/run.py long $(PARTS)
lint: venv-test ## ansible-lint, antsibull-docs, yamllint, ruff, mypy, import-linter, shellcheck
	@$(MAKE) -j2 --output-sync lint-ansible lint-docs lint-code
.PHONY: lint-ansible lint-docs lint-code
lint-ansible: venv-test
	@ansible-lint -q
lint-docs: venv-test
	@antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck .
lint-code: venv-test
	@ruff check . && ruff format --check . && yamllint --strict .
	@mypy -p ansible_collections.anklume.stt.plugins.module_utils -p ansible_collections.anklume.stt.plugins.plugin_utils
	@PYTHONPATH=$(COLLECTIONS) lint-imports --no-logo --cache-dir $(ROOT)/.cache/imports
	@shellcheck $$(git ls-files -z --cached --others --exclude-standard | xargs -0 grep -lIE '^#!.*\b(ba)?sh\b' | sort -u)
# the importer's ansible-lint is the one of `make lint`, on a weaker profile
sanity: venv-test archive $(IMPORTER_VENV)/.stamp ## ansible-test sanity, and what Galaxy says of the archive
	@scripts/sanity $(VENV) $(ARGS)
	@GALAXY_IMPORTER_RUN_ANSIBLE_LINT=no scripts/importer $(IMPORTER_VENV) $(INSTALLED)/archives/anklume-stt-*.tar.gz
$(IMPORTER_VENV)/.stamp: requirements-importer-test.txt
	@scripts/venv $(@D) $(PYTHON) requirements.txt $<
	@touch $@
# Prometheus, what its page is made of, and those beside it, out of Debian's packages: nothing is installed
PROMTOOL := .cache/prometheus/usr/bin/promtool
.PHONY: promtool
promtool: $(PROMTOOL)
$(PROMTOOL):
	@rm -rf .cache/prometheus && mkdir -p .cache/prometheus
	@cd .cache/prometheus && apt-get -qq -o APT::Sandbox::User=root download prometheus prometheus-alertmanager prometheus-blackbox-exporter \
	  $$(apt-get -s --no-install-recommends install prometheus | sed -nE 's/^Inst ((libjs|fonts|node)-[^ ]*).*/\1/p') \
	  && for package in *.deb; do dpkg-deb -x "$$package" .; done && rm -- *.deb
	@touch $@
# HAProxy in the same way, with what it needs and this machine has not
HAPROXY := .cache/haproxy/usr/sbin/haproxy
$(HAPROXY):
	@rm -rf .cache/haproxy && mkdir -p .cache/haproxy
	@cd .cache/haproxy && apt-get -qq -o APT::Sandbox::User=root download \
	  $$({ echo haproxy; apt-get -s --no-install-recommends install haproxy | sed -n 's/^Inst \([^ ]*\).*/\1/p'; } | sort -u) \
	  && for package in *.deb; do dpkg-deb -x "$$package" .; done && rm -- *.deb
	@touch $@
COVERAGE = --cov --cov-report=term:skip-covered
units: venv-test $(HAPROXY) ## unit tests, with coverage
	@pytest -q -n auto $(COVERAGE) $(ARGS) tests/unit
PYTHON_TAG = $(shell $(PYTHON) -c 'import sys; print("py%d%d" % sys.version_info[:2])')
ENGINE_REQUIREMENTS = roles/stt_server/files/faster_whisper/requirements-$(PYTHON_TAG).txt
ENGINE_VENV := .cache/venv-engine
.PHONY: engine-venv engine-test bench-stt
engine-venv: $(ENGINE_VENV)/.stamp
$(ENGINE_VENV)/.stamp: requirements-engine-test.txt $(wildcard roles/stt_server/files/faster_whisper/requirements*)
	@scripts/venv $(ENGINE_VENV) $(PYTHON) $(ENGINE_REQUIREMENTS) requirements-engine-test.txt
	@touch $@
PARAKEET_REQUIREMENTS = roles/stt_server/files/parakeet/requirements-$(PYTHON_TAG).txt
PARAKEET_VENV := .cache/venv-parakeet
.PHONY: parakeet-venv parakeet-test
parakeet-venv: $(PARAKEET_VENV)/.stamp
$(PARAKEET_VENV)/.stamp: requirements-engine-test.txt $(wildcard roles/stt_server/files/parakeet/requirements*)
	@scripts/venv $(PARAKEET_VENV) $(PYTHON) requirements-engine-test.txt
	@PIP_OPTIONS=--no-deps scripts/venv $(PARAKEET_VENV) $(PYTHON) $(PARAKEET_REQUIREMENTS)
	@touch $@
parakeet-test: parakeet-venv ## the engine parakeet, with a real client and a tiny model of ours
	@STT_TEST_ENGINE=parakeet $(PARAKEET_VENV)/bin/python -m pytest -q $(ARGS) tests/engine/test_{parakeet,api,times,odd}.py
VOSK_REQUIREMENTS = roles/stt_server/files/vosk/requirements-$(PYTHON_TAG).txt
VOSK_VENV := .cache/venv-vosk
.PHONY: vosk-venv vosk-test
vosk-venv: $(VOSK_VENV)/.stamp
$(VOSK_VENV)/.stamp: requirements-engine-test.txt $(wildcard roles/stt_server/files/vosk/requirements*)
	@scripts/venv $(VOSK_VENV) $(PYTHON) requirements-engine-test.txt
	@PIP_OPTIONS=--no-deps scripts/venv $(VOSK_VENV) $(PYTHON) $(VOSK_REQUIREMENTS)
	@touch $@
vosk-test: vosk-venv ## the engine vosk, with a real client and a tiny model of ours
	@STT_TEST_ENGINE=vosk $(VOSK_VENV)/bin/python -m pytest -q $(ARGS) tests/engine/test_{vosk,api,times,odd}.py
engine-test: engine-venv $(PROMTOOL) $(HAPROXY) ## the engine faster_whisper, with a real client and a real model
	@cd roles/stt_server/files/server && $(ROOT)/$(ENGINE_VENV)/bin/mypy --cache-dir $(ROOT)/.cache/mypy-engine --config-file= --strict --disable-error-code import-untyped --disable-error-code import-not-found anklume_stt_server
	@$(ENGINE_VENV)/bin/python -m pytest -q $(ARGS) tests/engine
EDGE_REQUIREMENTS = roles/edge_tts/files/requirements-$(PYTHON_TAG).txt
EDGE_VENV := .cache/venv-edge
.PHONY: edge-venv edge-test
edge-venv: $(EDGE_VENV)/.stamp
$(EDGE_VENV)/.stamp: requirements-engine-test.txt $(wildcard roles/edge_tts/files/requirements*)
	@scripts/venv $(EDGE_VENV) $(PYTHON) $(EDGE_REQUIREMENTS) requirements-engine-test.txt
	@touch $@
edge-test: edge-venv ## the service of the role edge_tts, with a real client and a stand-in for Microsoft
	@cd roles/edge_tts/files && $(ROOT)/$(EDGE_VENV)/bin/mypy --cache-dir $(ROOT)/.cache/mypy-edge --config-file= --strict anklume_edge_tts
	@$(EDGE_VENV)/bin/python -m pytest -q $(ARGS) tests/edge_tts
# the collections come with the pair, so they are made anew before and after
test-older: ## units and the smallest service with the older pair, Python 3.11 and ansible-core 2.19
	@rm -f $(COLLECTIONS_STAMP)
	@status=0; $(MAKE) VENV=.venv-older PYTHON=python3.11 SCENARIO=default units molecule || status=1; \
	  rm -f $(COLLECTIONS_STAMP); $(MAKE) venv; exit $$status
BROWSER_STAMP := tests/browser/node_modules/.stamp
test-first-hour: venv-test $(BROWSER_STAMP) ## README's "For real" in a fresh clone, from nothing to a sentence spoken at another computer; shows the time of each step
	@pytest -q -rP $(ARGS) tests/integration/first_hour
test-infra: venv-test ## infra.yml from a clone and from an installed collection, seen by Ansible from /
	@pytest -q $(ARGS) tests/integration/infra
test-doctor: venv-test ## the doctor's rules of the network on rulesets that nft itself has loaded
	@pytest -q $(ARGS) tests/integration/doctor
test-release: venv-test ## a made-up service gets all from a few lines; it changes its release on a real systemd, there and back
	@pytest -q $(ARGS) tests/integration/release
.PHONY: test-archive
test-archive: venv-test ## every pinned package has a wheel for x86_64 and for aarch64, by its digest; fragments become a changelog
	@pytest -q -n 4 $(ARGS) tests/integration/archive
.PHONY: simulate-capacity
simulate-capacity: venv ## how long people wait for how many STT servers; ARGS="--people 20 50 --servers 1 2 3"
	@python scripts/simulate_capacity.py $(ARGS)
bench-sync: venv-test ## load, check, render and write times of infra.yml for 10 to 10,000 machines
	@python tests/bench/bench_sync.py $(ARGS)
test-host: venv-test ## the role incus_host on this machine, twice
	@pytest -q tests/integration/host
test-remote: venv-test ## an Incus on another machine over real TLS, from the token to destroy; ANKLUME_TEST_LONG=1: services there, faults, a cluster of three
	@pytest -q $(ARGS) tests/integration/remote
test-incus: venv-test ## plan and apply on real Incus: every field, packets, kills
	@pytest -q $(ARGS) tests/integration/incus
# clients from PyPI and npm against the engine, in a network that holds nothing but loopback: none can report home
CLIENTS_VENV := .cache/venv-clients
CLIENTS_LONG_VENV := .cache/venv-clients-long
CLIENTS_STAMP := tests/clients/node_modules/.stamp
.PHONY: clients-venv test-clients
clients-venv: $(CLIENTS_VENV)/.stamp $(CLIENTS_STAMP) $(if $(ANKLUME_TEST_LONG),$(CLIENTS_LONG_VENV)/.stamp)
$(CLIENTS_VENV)/.stamp: requirements-clients-test.txt
	@scripts/venv $(@D) $(PYTHON) $<
	@touch $@
$(CLIENTS_LONG_VENV)/.stamp: requirements-clients-long-test.txt
	@type ffmpeg >/dev/null 2>&1 || apt-get -qq install -y --no-install-recommends ffmpeg
	@scripts/venv $(@D) $(PYTHON) $<
	@touch $@
$(CLIENTS_STAMP): tests/clients/package-lock.json
	@type npm curl >/dev/null 2>&1 || apt-get -qq install -y --no-install-recommends npm curl
	@cd $(dir $<) && npm ci --silent --ignore-scripts
	@touch $@
test-clients: engine-venv clients-venv ## the clients of docs/how-to/clients.md against the engine faster_whisper
	@unshare --map-root-user --net sh -c 'ip link set lo up && exec "$$@"' - $(ENGINE_VENV)/bin/python -m pytest -q $(ARGS) tests/clients
bench-stt: venv-test engine-venv ## both engines, Speaches as it is and direct use of faster-whisper, at 1, 4 and 8 clients (15 minutes)
	@$(ENGINE_VENV)/bin/python tests/bench/bench_stt.py $(ARGS)
ACCURACY_VENV := .cache/venv-accuracy
$(ACCURACY_VENV)/.stamp: requirements-accuracy-test.txt $(ENGINE_VENV)/.stamp
	@apt-get -qq install -y --no-install-recommends espeak-ng wordnet-base $(foreach language,en es fr it ru,$(addprefix asterisk-core-sounds-,$(language) $(language)-g722))
	@scripts/venv $(@D) $(PYTHON) $(ENGINE_REQUIREMENTS) $<
	@touch $@
PARAKEET_BENCH_VENV := .cache/venv-parakeet-bench
$(PARAKEET_BENCH_VENV)/.stamp: requirements-parakeet-bench.txt $(PARAKEET_VENV)/.stamp
	@scripts/venv $(@D) $(PYTHON) requirements-engine-test.txt $<
	@PIP_OPTIONS=--no-deps scripts/venv $(@D) $(PYTHON) $(PARAKEET_REQUIREMENTS)
	@touch $@
.PHONY: bench-parakeet
bench-parakeet: venv-test $(PARAKEET_BENCH_VENV)/.stamp ## memory and speed of a Parakeet of the true size with random weights, held against stt_fit's plan; ARGS="--only int8 --minutes 60" (5 minutes)
	@$(PARAKEET_BENCH_VENV)/bin/python tests/bench/bench_parakeet.py $(ARGS)
SPEECH_VENV := .cache/venv-speech
$(SPEECH_VENV)/.stamp: requirements-speech-bench.txt $(wildcard roles/stt_server/files/speaches/requirements*)
	@PIP_OPTIONS=--no-deps scripts/venv $(SPEECH_VENV) $(PYTHON) roles/stt_server/files/speaches/requirements-$(PYTHON_TAG).txt
	@PIP_OPTIONS=--no-deps scripts/venv $(SPEECH_VENV) $(PYTHON) requirements-speech-bench.txt
	@touch $@
KOKORO_VOICES := .cache/kokoro-js/.stamp
$(KOKORO_VOICES):
	@rm -rf $(@D) && mkdir -p $(@D)
	@cd $(@D) && npm pack --silent kokoro-js@1.2.1 >/dev/null && tar xzf kokoro-js-1.2.1.tgz && rm kokoro-js-1.2.1.tgz
	@touch $@
.PHONY: bench-accuracy bench-lanes bench-request bench-page bench-balancer bench-speech
bench-page: venv-test $(ACCURACY_VENV)/.stamp ## the tables and the plot of docs/how-to/how-fast.md, on real weights
	@$(ACCURACY_VENV)/bin/python tests/bench/bench_page.py
bench-speech: venv-test $(SPEECH_VENV)/.stamp $(KOKORO_VOICES) ## what speech costs with the real joe and the real Kokoro; SPEACHES_ARCHIVE=path ARGS="--only joe" (10 minutes)
	@$(if $(SPEACHES_ARCHIVE),,$(error which Speaches? make $@ SPEACHES_ARCHIVE=path of an archive of its source))$(SPEECH_VENV)/bin/python tests/bench/bench_speech.py --archive $(SPEACHES_ARCHIVE) $(ARGS)
bench-accuracy: venv-test $(ACCURACY_VENV)/.stamp ## how well and how fast real weights hear, with short and full context; ARGS="--only people --sentences 50" or "--model FOLDER" (all: 90 minutes)
	@$(ACCURACY_VENV)/bin/python tests/bench/bench_accuracy.py $(ARGS)
bench-lanes: venv-test $(ACCURACY_VENV)/.stamp ## voice commands beside an hour-long recording; ARGS="--minutes 10 --context full"
	@$(ACCURACY_VENV)/bin/python tests/bench/bench_lanes.py $(ARGS)
bench-request: venv-test $(ACCURACY_VENV)/.stamp ## what a voice command costs, part by part, and the first one after a start (5 minutes)
	@$(ACCURACY_VENV)/bin/python tests/bench/bench_request.py $(ARGS)
# Docker, out of Debian's packages too, with a registry and an SSH server; and what is fetched beside the image
# what came to it last: a folder that is older is fetched anew
DOCKER := .cache/docker/usr/sbin/sshd
$(DOCKER):
	@rm -rf .cache/docker && mkdir -p .cache/docker
	@cd .cache/docker && apt-get -qq -o APT::Sandbox::User=root download docker.io docker-registry containerd runc tini openssh-server libwrap0 \
	  $$(apt-cache show docker-cli 2>/dev/null | awk '/^Package:/ {print $$2; exit}') \
	  && for package in *.deb; do dpkg-deb -x "$$package" .; done && rm -- *.deb
	@touch $@
.cache/docker/index/.stamp: $(DOCKER) roles/stt_server/files/speaches/requirements-py312.txt
	@python tests/stand_ins/docker_images.py $(@D)
	@touch $@
.cache/docker/speaches/.stamp: $(DOCKER) roles/stt_server/files/speaches/requirements-py312.txt requirements-accuracy-test.txt
	@rm -rf $(@D) && python tests/stand_ins/docker_images.py --speaches $(@D)
	@touch $@
.PHONY: test-docker
# in namespaces of its own, with all its processes: nobody's firewall is touched, and no daemon is left
test-docker: venv-test $(DOCKER) .cache/docker/index/.stamp $(if $(SPEACHES_ARCHIVE),.cache/docker/speaches/.stamp) ## the role stt_compose, and the move from an older server, on a real Docker; SPEACHES_ARCHIVE=path with Speaches itself too
	@unshare --net --mount --pid --fork --kill-child --mount-proc sh -c 'ip link set lo up && exec "$$@"' - pytest -q $(ARGS) tests/integration/docker
bench-balancer: venv-test engine-venv $(HAPROXY) ## what the balancer carries before 1 to 8 servers, stand-ins, and what a request costs in it (1 minute)
	@$(ENGINE_VENV)/bin/python tests/bench/bench_balancer.py $(ARGS)
bench-incus: venv-test ## first apply and no-op against the floor of the REST API; ARGS="--machines 2" for two alone
	@python tests/bench/bench_incus.py $(ARGS)
bench-apply: venv-test ## time, CPU and tasks of an apply and an apply-stt that find nothing to do, role by role, on PROJECT as it stands
	@python tests/bench/bench_apply.py "$$PROJECT" $(ARGS)
bench: ## the benches of sync, Incus and the engine in small, one round each
	@$(MAKE) bench-sync
	@$(MAKE) bench-incus ARGS="--machines 2 --pairs 1"
	@$(MAKE) bench-stt ARGS="--only base --rounds 1" SPEACHES_ARCHIVE=
$(BROWSER_STAMP): tests/browser/package-lock.json tests/stand_ins/speaking_server.py
	@type chromium certutil tcpdump espeak-ng >/dev/null 2>&1 || apt-get -qq install -y --no-install-recommends chromium libnss3-tools tcpdump espeak-ng
	@cd tests/browser && npm ci --silent
	@touch $@
molecule: venv-test $(if $(filter-out speaches,$(SCENARIO)),,$(PROMTOOL)) $(if $(filter-out default,$(SCENARIO)),,archive) $(BROWSER_STAMP) $(CLIENTS_VENV)/.stamp ## the scenarios on real Incus; SCENARIO=default runs one
	@for scenario in $(or $(SCENARIO),$(notdir $(patsubst %/,%,$(wildcard molecule/*/)))); do molecule test -s "$$scenario"; done
