# Builds, runs and tests the WebSocket module of nginx.  "make help" lists the
# targets.  Nothing but "make install" and "make uninstall" touches what is
# outside build/.

NGINX_SRC ?= /usr/share/nginx/src
NGINX ?= /usr/sbin/nginx
JOBS ?= $(shell nproc)
PREFIX ?= /usr
EXAMPLES = build/examples
PYTHON = /usr/bin/python3

# Naming one compiler is enough: the other one follows.
ifeq ($(origin CC),default)
CC := $(if $(filter default,$(origin CXX)),gcc,$(subst g++,gcc,$(subst \
	clang++,clang,$(CXX))))
endif
ifeq ($(origin CXX),default)
CXX := $(subst clang,clang++,$(subst gcc,g++,$(CC)))
endif
export CC CXX CXXFLAGS LDFLAGS

# What was given on the command line reaches the scripts by the environment;
# it must not override the variables of nginx's own makefile.
MAKEOVERRIDES :=
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

MODULE = build/ngx_http_websocket_module.so
SOURCES := $(sort $(foreach layer,protocol nginx handlers broker redis,\
	$(wildcard src/$(layer)/*.cpp src/$(layer)/*/*.cpp)))

.PHONY: module
module: $(MODULE)

# Unique symbols, which only g++ knows, would keep glibc from ever unloading a
# library.
no_unique_symbols := $(shell echo | $(CXX) -fno-gnu-unique -x c++ -c \
	-o /dev/null - 2> /dev/null && echo -fno-gnu-unique)

include src/module.mk t/tests.mk

.PHONY: deps
deps:
	@t/deps.sh build

# As root nginx would give its workers to a user who may not be able to read
# this folder: they run as its owner instead.  nginx would take a terminal
# that closes for an order to reload, so the shell turns that into an end.
owner = $(shell stat -c '%U %G' .)
run_user = $(if $(filter 0,$(shell id -u)),user $(owner);)
.PHONY: run
run:
	@t/deps.sh build
	@$(MAKE) module examples
	@mkdir -p build/run
	@echo "http://127.0.0.1:8080/ is served until Ctrl-C"
	@$(NGINX) -p $(CURDIR)/build/run -c $(CURDIR)/examples/nginx.conf \
	    -g 'daemon off; $(run_user)' & nginx=$$!; \
	trap "kill $$nginx 2> /dev/null; wait $$nginx; exit 0" HUP INT TERM; \
	wait $$nginx

# One plug-in from each .cpp and each .c in a folder of examples/.
example_warnings := -O2 -g -Wall -Wextra -Werror
example_flags := -fPIC -shared -fvisibility=hidden -MMD -MP -I src/sdk
compile_c_example := $(CC) -std=c11 $(example_warnings) $(example_flags) \
	$(CFLAGS)
compile_cpp_example := $(CXX) -std=c++20 $(example_warnings) $(example_flags) \
	$(no_unique_symbols) $(CXXFLAGS)
example_sources := $(wildcard examples/*/*.c examples/*/*.cpp)
example_plugins := $(patsubst %,$(EXAMPLES)/%.so,\
	$(basename $(notdir $(example_sources))))
vpath %.c $(sort $(dir $(filter %.c,$(example_sources))))
vpath %.cpp $(sort $(dir $(filter %.cpp,$(example_sources))))

# A running nginx may have the library mapped: replace it, never write to it.
define build_example
	@mkdir -p $(@D)
	@echo "compiling $<"
	@$1 -MT $@ -MF $(@:.so=.d) -o $@.new $< $(LDFLAGS) && mv $@.new $@
endef

.PHONY: examples
examples: $(example_plugins)
	@:
$(EXAMPLES)/%.so: %.c $(EXAMPLES)/flags
	$(call build_example,$(compile_c_example))
$(EXAMPLES)/%.so: %.cpp $(EXAMPLES)/flags
	$(call build_example,$(compile_cpp_example))
$(eval $(call remember,$(EXAMPLES)/flags,\
	$(compile_c_example) $(compile_cpp_example) $(LDFLAGS)))
-include $(example_plugins:.so=.d)

modules_path = $(or $(shell $(NGINX) -V 2>&1 | tr ' ' '\n' | \
	sed -n 's/^--modules-path=//p'),/usr/lib/nginx/modules)
.PHONY: install
install: module
	install -D -m 644 $(MODULE) $(DESTDIR)$(modules_path)/$(notdir $(MODULE))
	$(foreach header,$(wildcard src/sdk/*.h src/sdk/*.hpp),install -D -m 644 \
	    $(header) $(DESTDIR)$(PREFIX)/include/nginx-websocket/$(notdir \
	    $(header))$(newline))

.PHONY: uninstall
uninstall:
	rm -f $(DESTDIR)$(modules_path)/$(notdir $(MODULE))
	rm -f $(foreach header,$(wildcard src/sdk/*.h src/sdk/*.hpp),\
	    $(DESTDIR)$(PREFIX)/include/nginx-websocket/$(notdir $(header)))
	rmdir --ignore-fail-on-non-empty \
	    $(DESTDIR)$(PREFIX)/include/nginx-websocket 2> /dev/null || true

define newline


endef

# The packages are built anew when anything that is in them has changed.
version := $(shell sed -n 's/.* module_version = "\(.*\)";/\1/p' \
	src/nginx/core/version.hpp)
.PHONY: deb
deb:
	@t/deps.sh build package
	@ls build/libnginx-mod-http-websocket*.deb > /dev/null 2>&1 || \
	    rm -f build/deb.made
	@$(MAKE) build/deb.made
	@ls build/libnginx-mod-http-websocket*.deb

build/deb.made: $(SOURCES) $(shell find config src examples README.md LICENSE \
	-type f)
	@echo "building the packages, see build/deb/build.log"
	@src/make_deb.sh $(firstword $(version)) $(CURDIR)/build > /dev/null
	@touch $@

.PHONY: clean
clean:
	rm -rf build

.PHONY: help
help:
	@echo 'make            build/ngx_http_websocket_module.so'
	@echo 'make run        an nginx with the example pages on port 8080'
	@echo 'make test       unit, integration and browser tests'
	@echo 'make test-debian13   the same in a Debian 13 in build/, as root'
	@echo 'make check      unit tests and the quickest third of the others'
	@echo 'make unit       unit tests alone'
	@echo 'make sanitize   the tests under AddressSanitizer and UBSan'
	@echo 'make soak       a busy server at random: SOAK_SECONDS (180), SOAK_SEED'
	@echo 'make soak-redis      the same on two hosts, with a Redis that fails'
	@echo 'make fuzz       each fuzz target for FUZZ_SECONDS (30)'
	@echo 'make bench      speed and memory beside other servers: short'
	@echo 'make bench-full      the same at length: half an hour'
	@echo 'make bench-charts    puts the last results into t/bench/README.md'
	@echo 'make bench-instructions   instructions per message, callgrind'
	@echo 'make bench-instructions-record   the figures to hold them against'
	@echo 'make bench-core, bench-rooms, bench-deflate   the parts alone'
	@echo 'make bench-redis     two hosts with a Redis between them'
	@echo 'make lint       clang-format and clang-tidy'
	@echo 'make format     clang-format on all C++'
	@echo 'make examples   the plug-ins of examples/, in build/examples/'
	@echo 'make install    module and SDK headers (DESTDIR, PREFIX=/usr)'
	@echo 'make uninstall  removes these'
	@echo 'make deb        Debian packages of both, in build/'
	@echo 'make deps       Debian packages to build and run with'
	@echo 'make clean      removes build/'
	@echo
	@echo 'NGINX_SRC       nginx source tree, configured or vanilla'
	@echo 'NGINX_OPTIONS   configure options for a vanilla one'
	@echo 'CC, CXX         compilers; one of them is enough'
	@echo 'CXXFLAGS        added when our C++ is compiled; LDFLAGS: linked'
	@echo 'CFLAGS          added when examples in C are compiled'
	@echo 'FILES_PER_OBJECT  sources that are compiled as one (28)'
	@echo 'PYTEST_OPTIONS  instead of all of t, e.g. "-q t/rooms/test_room.py"'
