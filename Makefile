# The commands a newcomer needs. Each installs what it needs by itself; ARGS="…" is passed on.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STUBS := .stubs
ESP32_STUBS := micropython-esp32-stubs==1.29.0.post1
RP2_STUBS := micropython-rp2-rpi-pico-w-stubs==1.29.0.post1
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: install run test check bench bench-growth bench-hotpath bench-cloud campaign-powercut campaign-damage campaign-deploy campaign-herd campaign-network campaign-provision campaign-remote campaign-sim campaign-sim-board campaign-sim-bugs test-js conformance faults scenarios watchdog test-drivers deps-browser help

help:
	@echo "make run      a virtual node sends simulated readings to a local TagoIO    ARGS=\"--samples 20\""
	@echo "make test     every test, on CPython and on real MicroPython, after make check"
	@echo "make check    lint, types against the esp32 and rp2 stubs, import arrows"
	@echo "make bench    TagoNode beside what others would use, its queue's wear, its uplink: ten minutes  ARGS=\"--write\""
	@echo "make bench-growth        how cost grows with what waits, with channels and sensors; what a start costs"
	@echo "make bench-hotpath       where the instructions of a reading go, function by function"
	@echo "make bench-cloud         200 nodes at the local TagoIO for a minute; what it does with millions of records"
	@echo "make campaign-powercut   the power cut at every flash operation, tens of thousands of times"
	@echo "make campaign-remote     the power cut at every flash operation of a change of settings from afar"
	@echo "make campaign-damage     10,000 damaged queues, read by two independent readers"
	@echo "make campaign-deploy     tagonode deploy killed at 50 random moments             ARGS=\"--seed 1\""
	@echo "make campaign-herd       200 nodes share one rate limit: when their requests come, as a histogram"
	@echo "make faults   every fault of network and server against a virtual board, as a table    ARGS=\"handshake\""
	@echo "make scenarios           days and nights in the field, in virtual time, as a table               ARGS=\"-k clock\""
	@echo "make watchdog            for how long the watchdog is unfed at most, in every scenario and every fault"
	@echo "make campaign-network    500 rounds of each class of these faults: no leak, no loss     ROUNDS=50"
	@echo "make campaign-provision  500 nodes from CSV, killed and interrupted, with rate limits and lost answers"
	@echo "make campaign-sim        simulated lives of the whole agent, until an invariant breaks   YEARS=5 SEED=1 DAYS=7 TRACE=1 ARGS=--hostile"
	@echo "make campaign-sim-bugs   bugs seeded in the agent: how many node-years until such lives show each   ARGS=clock"
	@echo "make campaign-sim-board  days of the simulation's faults on real MicroPython              SEEDS=20 SEED=1 TRACE=1 ARGS=--bugs"
	@echo "make test-js   the official JavaScript SDK (npm) against the local TagoIO; needs Node"
	@echo "make conformance  the local TagoIO's answers against TagoIO's OpenAPI file    OPENAPI=file"
	@echo "make test-drivers        tests of your own drivers, on both runtimes           NODE=folder of node.toml"
	@echo "make deps-browser        Chromium, for the tests of the page; without it they are skipped"
	@echo "make install  builds .venv with tagonode, python and micropython in its bin"

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: install
	$(BIN)/tagonode simulate $(ARGS)

test: check
	$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder $(ARGS)

test-drivers: install
	PYTHONPATH=host_tests $(BIN)/python -m pytest -p harness.collector -p no:schemathesis -p no:cacheprovider --rootdir $(NODE) $(NODE) $(ARGS)

check: install $(STUBS)/.installed
	$(BIN)/python host_tests/check.py

$(STUBS)/.installed: Makefile | install
	rm -rf $(STUBS)
	$(PIP) install --target $(STUBS)/esp32 $(ESP32_STUBS)
	$(PIP) install --target $(STUBS)/rp2 $(RP2_STUBS)
	@touch $@

bench-cloud: install
	$(BIN)/python host_tests/bench/cloud_load.py $(ARGS)
	$(BIN)/python host_tests/bench/cloud.py $(RECORDS)

bench: install
	$(BIN)/python host_tests/bench/compare.py $(ARGS)
	$(BIN)/python host_tests/bench/spool.py $(RECORDS)
	$(BIN)/python host_tests/bench/uplink.py

bench-growth: install
	$(BIN)/python host_tests/bench/growth.py
	$(BIN)/python host_tests/bench/startup.py

bench-hotpath: install
	$(BIN)/python host_tests/bench/hotpath.py $(ARGS)

campaign-powercut: install
	$(BIN)/python host_tests/campaigns/powercut.py $(ARGS)

campaign-damage: install
	$(BIN)/python host_tests/campaigns/spool_damage.py $(ARGS)

campaign-deploy: install
	$(BIN)/python host_tests/campaigns/deploy.py $(ARGS)

campaign-remote: install
	$(BIN)/python host_tests/campaigns/remote_powercut.py $(ARGS)

campaign-herd: install
	$(BIN)/python host_tests/campaigns/herd.py $(ARGS)

scenarios: install
	$(BIN)/python host_tests/scenarios.py $(ARGS)

watchdog: install
	$(BIN)/python host_tests/scenarios.py
	$(BIN)/python host_tests/faults.py

faults: install
	$(BIN)/python host_tests/faults.py $(ARGS)

campaign-network: install
	$(BIN)/python host_tests/campaigns/network.py $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)

campaign-provision: install
	PYTHONPATH=host_tests $(BIN)/python host_tests/campaigns/provision.py $(ARGS)

campaign-sim: install
	$(BIN)/python host_tests/sim/campaign.py $(if $(YEARS),--years $(YEARS)) $(if $(SEED),--seed $(SEED)) $(if $(DAYS),--days $(DAYS)) $(if $(TRACE),--trace) $(ARGS)

campaign-sim-bugs: install
	$(BIN)/python host_tests/campaigns/sim_mutations.py $(ARGS)

campaign-sim-board: install
	$(BIN)/python host_tests/campaigns/sim_board.py $(if $(SEEDS),--seeds $(SEEDS)) $(if $(SEED),--seed $(SEED)) $(if $(TRACE),--trace) $(ARGS)

# Debian's Chromium with its driver, for host_tests/test_page_browser.py; nothing to do where both are there
deps-browser:
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then exit 0; \
	elif ! command -v apt-get >/dev/null; then echo "no apt-get here: install Chromium and its chromedriver by hand"; exit 1; \
	elif [ "$$(id -u)" != 0 ]; then echo "this needs root: sudo apt-get install -y chromium chromium-driver"; exit 1; \
	else { apt-get install -y -q chromium chromium-driver || { apt-get update -q && apt-get install -y -q chromium chromium-driver; }; } >/dev/null \
	|| { echo "Chromium cannot be installed here; the tests of the page will be skipped"; exit 1; }; fi

test-js: install
	cd host_tests/js && npm ci --no-audit --no-fund --silent
	$(BIN)/python host_tests/js/run.py

conformance: install
	TAGOIO_OPENAPI=$(OPENAPI) $(BIN)/python -m pytest -q -rs host_tests/test_cloud_conformance.py
