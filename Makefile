# The front door. CMake does the work (CMakePresets.json); each preset builds into build/<preset>/.
#
#   make            the release library in build/release/
#   make demo       builds it and runs multi-threaded programs on it, a heap summary at the end of each
#   make check      everything CI checks (STEPS="..." for some of it; tools/check --list names them)
#   make bench      compares with other allocators: CSV, Markdown, SVG; PEERS="name=file.so ..." for more of them,
#                   ARGS="..." for bench/run (ARGS=--quick: three minutes)
#   make install    PREFIX=/usr/local DESTDIR=
#   make man        the manual pages in build/release/man/
#   make clean
#
# For developers: make debug, test, tidy, format, coverage.

PREFIX ?= /usr/local
STEPS ?=
ARGS ?=
PEERS ?=

.PHONY: all demo check bench install man clean debug test tidy format coverage
MAKEFLAGS += --no-print-directory

all:
	@tools/install-deps build
	@tools/build release library

demo: all
	@tools/install-deps demo
	@tools/demo build/release

check:
	@tools/check $(STEPS)

bench:
	@tools/install-deps build bench
	@tools/build release library bench_programs
	@bench/run --report $(foreach peer,$(PEERS),--lib '$(peer)') $(ARGS)

install: all
	@cmake --install build/release --prefix "$(PREFIX)"

man: all
	@tools/build release man

clean:
	rm -rf build

debug:
	@tools/install-deps build
	@tools/build debug

# The release tests alone.
test:
	@tools/install-deps build
	@tools/build release
	@cd build/release && ctest --output-on-failure -j $$(nproc)

tidy:
	@tools/check tidy

format:
	@tools/format

coverage:
	@tools/build coverage
	@tools/coverage
