# SPDX-License-Identifier: BSD-3-Clause
# A thin front to Meson and the scripts: everything is built under build*/.
#
#   sudo make run      install what is missing, build, run the main job (nginx, redis, curl on weir)
#   sudo make test     install what is missing, build, run every test; last "N passed, N failed"
#   make build         build into build/            make lint    the rules of the house
#   sudo make bench    measure against the kernel   make fuzz    SECONDS=60 for each target
#   sudo make deps     install what is missing      make install PREFIX=/usr/local DESTDIR=
#   make sim           the simulator    RUNS=20000  make sim-plots   what connections look like
#   sudo make differential   what sockets do on the kernel and on weir, case by case
#   make coverage      which lines the tests run, a row a folder
#   make clang         build with clang too         make clean   remove build*/

PYTHON := /usr/bin/python3
MESON := /usr/bin/meson
PREFIX ?= /usr/local
SECONDS ?= 60
RUNS ?= 2000
SEED ?= 1
DESTDIR ?=

.PHONY: all build clang deps deps-build deps-run deps-all run test bench lint format tidy
.PHONY: differential fuzz sim sim-plots coverage install clean

all: build

deps: deps-all

deps-all:
	@scripts/deps.sh

deps-build:
	@scripts/deps.sh build

deps-run:
	@scripts/deps.sh build run

build: deps-build
	@$(PYTHON) scripts/build.py build --prefix $(PREFIX)

clang: deps-all
	@$(PYTHON) scripts/build.py build-clang --cc clang

run: deps-run
	@$(PYTHON) scripts/build.py build --programs
	@$(PYTHON) scripts/demo.py

test: deps-all
	@$(PYTHON) scripts/test.py

format:
	@clang-format -i $$(git ls-files "src/*.[ch]" "include/*.[ch]" "tests/*.[ch]")

tidy: build
	@run-clang-tidy -quiet -p build '/src/.*\.c$$'

bench: deps-all
	@$(PYTHON) scripts/build.py build
	@$(PYTHON) tests/bench/bench.py

differential: deps-all
	@$(PYTHON) scripts/build.py build
	@$(PYTHON) tests/differential/differential.py $(CASES)

lint:
	@$(PYTHON) scripts/lint.py

fuzz: deps-all
	@$(PYTHON) scripts/test.py --only fuzz --fuzz-seconds $(SECONDS)

sim: deps-build
	@$(PYTHON) scripts/build.py build --target tests/sim/sim
	@build/tests/sim/sim --runs $(RUNS) --seed $(SEED)

coverage: deps-all
	@$(PYTHON) scripts/coverage.py

sim-plots: deps-all
	@$(PYTHON) scripts/build.py build --target tests/sim/sim
	@$(PYTHON) scripts/sim_plot.py

install: build
	@DESTDIR="$(DESTDIR)" $(MESON) install -C build --no-rebuild

clean:
	rm -rf build build-*
