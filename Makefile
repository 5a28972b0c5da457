# Builds, runs and tests the WebSocket module of nginx.  "make help" lists the
# targets.  Only "make install" and "make uninstall" write outside of build/.

NGINX_SRC ?= /usr/share/nginx/src
NGINX ?= /usr/sbin/nginx
JOBS ?= $(shell nproc)
PREFIX ?= /usr
EXAMPLES = build/examples
PYTHON = /usr/bin/python3

# If only one compiler is set, the other one is derived from it.
ifeq ($(origin CC),default)
CC := $(if $(filter default,$(origin CXX)),gcc,$(subst g++,gcc,$(subst \
	clang++,clang,$(CXX))))
endif
ifeq ($(origin CXX),default)
CXX := $(subst clang,clang++,$(subst gcc,g++,$(CC)))
endif
export CC CXX CXXFLAGS LDFLAGS

# Variables of the command line reach the scripts by the environment.  They must
# not override those of nginx's own makefile.
MAKEOVERRIDES :=
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

MODULE = build/ngx_http_websocket_module.so
SOURCES := $(sort $(foreach layer,protocol tokens nginx handlers broker redis,\
	$(wildcard src/$(layer)/*.cpp src/$(layer)/*/*.cpp)))

.PHONY: module
module: $(MODULE)

# g++ emits unique symbols, and glibc never unloads a library that has them.
no_unique_symbols := $(shell echo | $(CXX) -fno-gnu-unique -x c++ -c \
	-o /dev/null - 2> /dev/null && echo -fno-gnu-unique)

include src/module.mk t/tests.mk

.PHONY: deps
deps:
	@t/deps.sh build

# If root starts nginx, its workers run as the owner of this folder: the default
# user may not be able to read it.  When the terminal closes, run.sh ends nginx,
# which would take the SIGHUP for an order to reload.
owner = $(shell stat -c '%U %G' .)
run_user = $(if $(filter 0,$(shell id -u)),user $(owner);)
.PHONY: run
run:
	@t/deps.sh build
	@t/deps.sh php || echo "one example needs php-fpm, the others work"
	@$(MAKE) module examples
	@mkdir -p build/run
	@echo "serving http://127.0.0.1:8080/ until Ctrl-C"
	@examples/run.sh build/run $(NGINX) -p $(CURDIR)/build/run \
	    -c $(CURDIR)/examples/nginx.conf -g 'daemon off; $(run_user)'

# Each .cpp and each .c in a folder of examples/ is a plug-in.
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

# A running nginx may have mapped the library: replace the file, never write to
# it.
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

# Packages are built again when a file that they contain has changed.
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

# The npm package. The pages of examples/ import its sources as they are.
.PHONY: client
client:
	@t/deps.sh client
	@src/client/pack.sh build

.PHONY: clean
clean:
	rm -rf build

.PHONY: help
help:
	@echo 'make            build/ngx_http_websocket_module.so'
	@echo 'make run        an nginx with the example pages on port 8080'
	@echo 'make test       unit, integration and browser tests'
	@echo 'make test-debian13   the same in a Debian 13 in build/, as root'
	@echo 'make test-nginx the pytest tests with an nginx built from NGINX_SRC'
	@echo 'make check      unit tests and the quickest third of the others'
	@echo 'make unit       unit tests alone'
	@echo 'make sanitize   the tests under AddressSanitizer and UBSan'
	@echo 'make soak       random load on a server: SOAK_SECONDS (180), SOAK_SEED'
	@echo 'make soak-redis      the same on two hosts, with faults of them and Redis'
	@echo 'make soak-http  with clients of websocket http, whose backend fails'
	@echo 'make fuzz       each fuzz target for FUZZ_SECONDS (30)'
	@echo 'make bench      speed and memory compared with other servers: short'
	@echo 'make bench-full      the same for half an hour'
	@echo 'make bench-charts    puts the last results into t/bench/README.md'
	@echo 'make bench-instructions   instructions per message, callgrind'
	@echo 'make bench-instructions-record   records them for comparison'
	@echo 'make bench-core, bench-rooms, bench-deflate   one part each'
	@echo 'make bench-redis     two hosts with a Redis between them'
	@echo 'make bench-http      events of websocket http beside plain requests'
	@echo 'make bench-http-memory    a million events leave no memory'
	@echo 'make lint       clang-format and clang-tidy'
	@echo 'make format     clang-format on all C++'
	@echo 'make examples   the plug-ins of examples/, in build/examples/'
	@echo 'make install    module and SDK headers (DESTDIR, PREFIX=/usr)'
	@echo 'make uninstall  removes them'
	@echo 'make deb        Debian packages of module and headers, in build/'
	@echo 'make client     the npm package, in build/, and its sizes'
	@echo 'make deps       Debian packages to build and run with'
	@echo 'make clean      removes build/'
	@echo
	@echo 'NGINX_SRC       nginx source tree, configured or vanilla'
	@echo 'NGINX_OPTIONS   configure options for a vanilla one'
	@echo 'CC, CXX         compilers; setting one is enough'
	@echo 'CXXFLAGS        added for the module and C++; LDFLAGS: for linking'
	@echo 'CFLAGS          added for examples in C'
	@echo 'FILES_PER_OBJECT  sources compiled as one object (28)'
	@echo 'PYTEST_OPTIONS  instead of all of t, e.g. "-q t/rooms/test_room.py"'
