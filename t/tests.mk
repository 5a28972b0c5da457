# The test targets, and the programs that test src/protocol/ and src/broker/.
#
# Objects with other compiler flags have another folder in build/. Its file
# "flags" has the flags, "NAME.sources" the sources of a program.

FUZZ_SECONDS ?= 30
SOAK_SECONDS ?= 180
SOAK_HOSTS ?= 1

protocol_sources := $(sort $(wildcard src/protocol/*/*.cpp))
broker_sources := $(sort $(wildcard src/broker/*.cpp))
token_sources := $(sort $(wildcard src/tokens/*.cpp))
request_sources := $(addprefix src/handlers/,json_scanner.cpp \
	object_scanner.cpp rooms/rooms_request.cpp)
# Sources of src/nginx that do not include nginx.
container_sources := src/nginx/output/send_queue.cpp
unit_sources := $(sort $(wildcard t/unit/*/*_test.cpp))
integrity_sources := $(sort $(wildcard t/unit/broker/integrity_*.cpp))
fuzz_sources := $(sort $(wildcard t/fuzz/*_fuzz.cpp))
bench_sources := t/bench/protocol_bench.cpp t/bench/frame_benchmarks.cpp
load_sources := $(sort $(wildcard t/bench/load/*.cpp t/bench/load/*/*.cpp))
deflate_bench_sources := t/bench/deflate_bench.cpp

cxx_flags := -std=c++20 -O2 -g -Wall -Wextra -Werror -MMD -MP -I src
libraries := -lcrypto -lz -pthread

# A sanitizer's finding stops nginx, so that the current test fails. gcc's
# runtime is shared, so that an nginx built without it can preload it.
sanitize_cxx := g++
sanitize_flags := -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer -O1 -U_FORTIFY_SOURCE
sanitize_options := abort_on_error=1:halt_on_error=1:print_stacktrace=1
fuzz_cxx := clang++
fuzz_flags := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all

# $(call remember,FILE,TEXT): a file that is out of date when TEXT changes.
define remember
ifneq ($$(file < $1),$(strip $2))
.PHONY: $1
endif
$1:
	@mkdir -p $$(@D)
	@printf '%s' '$(strip $2)' > $$@
endef

# $(call objects,FOLDER,COMPILER AND FLAGS,SOURCES)
define objects
$1/%.o: %.cpp $1/flags
	@mkdir -p $$(@D)
	$$(info compiling $$< in $1)@$2 $(cxx_flags) -c -o $$@ $$<

$(call remember,$1/flags,$2 $(cxx_flags))
-include $(patsubst %.cpp,$1/%.d,$3)
endef

# $(call one_source,FOLDER,NAME,COMPILER AND FLAGS,SOURCES): FOLDER/NAME.o from
# all SOURCES, so that the compiler reads the headers that they share only once.
define one_source
$1/$2.cpp: $1/$2.sources
	@printf '#include "%s"\n' $4 > $$@

$1/$2.o: $1/$2.cpp $1/flags
	$$(info compiling $$<)@$3 $(cxx_flags) -I . -c -o $$@ $$<

$(call remember,$1/$2.sources,$4)
-include $1/$2.d
endef

# $(call program,FOLDER,NAME,COMPILER AND FLAGS,SOURCES,LIBRARIES)
define program
$1/$2: $(patsubst %.cpp,$1/%.o,$4) $1/$2.sources
	@$3 -o $$@ $$(filter %.o,$$^) $5 $(libraries)

$(call remember,$1/$2.sources,$4)
endef

plain_cxx := $(CXX) $(CXXFLAGS) $(LDFLAGS)
fuzzing_cxx := $(fuzz_cxx) $(fuzz_flags)
fuzzed_sources := $(protocol_sources) $(token_sources) $(request_sources)
bench_program := $(bench_sources) $(protocol_sources)
broker_bench := t/bench/broker_bench.cpp $(broker_sources)
hold_benches := lock_holds member_holds
raw_echo := t/bench/raw_echo.cpp
deflate_bench_program := $(deflate_bench_sources) $(protocol_sources)

# Shared memory has fault points, at which a process can be killed in the middle
# of a change. Only the broker has them, so the other objects are those of the
# module.
FAULTS ?= build/faults
faulty_module := $(FAULTS)/ngx_http_websocket_module.so
faulty_cxx := $(plain_cxx) -fPIC -fvisibility=hidden $(no_unique_symbols) \
	-DWEBSOCKET_FAULT_POINTS
module_objects := $(module_dir)/objs/addon/websocket
$(eval $(call remember,$(FAULTS)/flags,$(faulty_cxx) $(cxx_flags)))
$(eval $(call one_source,$(FAULTS),broker,$(faulty_cxx),$(broker_sources)))

.PHONY: faulty-module
faulty-module: $(faulty_module)
$(faulty_module): $(FAULTS)/broker.o $(MODULE)
	@$(faulty_cxx) -shared -o $@.new $< $$(ls $(module_objects)/*.o | \
	    grep -v /broker_) $(module_dir)/objs/*_module_modules.o \
	    -Wl,--as-needed -lcrypto -lz && mv $@.new $@

# The unit tests are linked to the objects of the module; those of the broker
# have fault points. The tests are compiled without optimization.
UNIT ?= build/unit
unit_group := 8
unit_groups := $(shell seq $$((($(words $(unit_sources)) + $(unit_group) - 1) \
	/ $(unit_group))))
unit_objects := $(unit_groups:%=$(UNIT)/tests_%.o) $(UNIT)/counted_memory.o \
	$(UNIT)/containers.o $(UNIT)/integrity.o
unit_cxx := $(plain_cxx) $(cxx_flags) -O0 -I . \
	$(addprefix -I ,$(sort $(dir $(unit_sources)))) \
	-DWEBSOCKET_FAULT_POINTS

.PHONY: unit-program unit-groups
unit-program: $(UNIT)/unit_tests
$(UNIT)/unit_tests: $(FAULTS)/broker.o $(UNIT)/core.a $(unit_objects)
	@$(plain_cxx) -o $@ -Wl,--whole-archive $(wordlist 1,2,$^) \
	    -Wl,--no-whole-archive $(unit_objects) -lgtest_main -lgtest $(libraries)

$(UNIT)/core.a: $(MODULE)
	@mkdir -p $(@D) && rm -f $@.new
	@ar rcsD $@.new $(addprefix $(module_objects)/,protocol_*.o handlers_*.o \
	    redis_*.o tokens_*.o)
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

unit-groups:
	@t/unit/group_tests.sh $(UNIT) $(unit_group) $(unit_sources)
$(unit_groups:%=$(UNIT)/tests_%.cpp): unit-groups ;

$(UNIT)/tests_%.o: $(UNIT)/tests_%.cpp $(UNIT)/flags
	$(info compiling $<)@$(unit_cxx) -c -o $@ $<
$(UNIT)/%.o: t/unit/messages/%.cpp $(UNIT)/flags
	$(info compiling $<)@$(unit_cxx) -c -o $@ $<
$(eval $(call remember,$(UNIT)/flags,$(unit_cxx)))
$(eval $(call one_source,$(UNIT),containers,$(plain_cxx),$(container_sources)))
$(eval $(call one_source,$(UNIT),integrity,$(plain_cxx) \
	-DWEBSOCKET_FAULT_POINTS,$(integrity_sources)))
-include $(unit_objects:.o=.d)

$(eval $(call objects,build/bench,$(plain_cxx),$(bench_program) \
	$(broker_bench) $(hold_benches:%=t/bench/%.cpp) $(raw_echo) \
	$(deflate_bench_sources)))
$(eval $(call program,build/bench,protocol_bench,$(plain_cxx),\
	$(bench_program),-lbenchmark))
$(eval $(call program,build/bench,broker_bench,$(plain_cxx),\
	$(broker_bench),-lbenchmark))
$(foreach name,$(hold_benches),$(eval $(call program,build/bench,$(name),\
	$(plain_cxx),t/bench/$(name).cpp $(broker_sources),)))
$(eval $(call one_source,build/bench,load,$(plain_cxx),$(load_sources)))
build/bench/websocket_load: build/bench/load.o
	@$(plain_cxx) -o $@ $< -lssl $(libraries)
$(eval $(call program,build/bench,raw_echo,$(plain_cxx),$(raw_echo),))
$(eval $(call program,build/bench,deflate_bench,$(plain_cxx),\
	$(deflate_bench_program),))

$(eval $(call objects,build/fuzz,$(fuzzing_cxx),\
	$(fuzz_sources) $(fuzzed_sources)))
$(foreach source,$(fuzz_sources),$(eval $(call program,build/fuzz,$(basename \
	$(notdir $(source))),$(fuzzing_cxx),$(source) $(fuzzed_sources),)))

run_tests := PYTHONPYCACHEPREFIX=build/t/pycache $(PYTHON) t/run_tests.py

.PHONY: test check unit sanitize fuzz bench soak lint
test:
	@t/deps.sh build test package
	@$(MAKE) $(parallel) module examples unit-program faulty-module \
	    build/bench/websocket_load
	@$(run_tests) build/t build/unit/unit_tests $(PYTEST_OPTIONS)

# Runs the pytest tests with an nginx that is built from NGINX_SRC, a vanilla
# tree. The folder of the module has that nginx too.
release := build/release
release_options := --with-compat --with-debug --with-threads --with-pcre-jit \
	--with-http_ssl_module --with-http_v2_module --with-http_realip_module \
	--with-http_auth_request_module --with-http_stub_status_module \
	--with-http_gunzip_module --with-http_gzip_static_module \
	--with-http_addition_module --with-http_sub_module \
	--with-http_slice_module --with-http_dav_module \
	--with-http_secure_link_module
.PHONY: test-nginx release-tests
test-nginx:
	@t/deps.sh build test
	@$(MAKE) $(parallel) release-tests \
	    MODULE=$(release)/ngx_http_websocket_module.so FAULTS=$(release)/faults \
	    NGINX_OPTIONS='$(or $(NGINX_OPTIONS),$(release_options))'

release-tests: module examples faulty-module build/bench/websocket_load
	+@$(module_make) -s binary
	@WEBSOCKET_NGINX=$(CURDIR)/$(module_dir)/objs/nginx \
	WEBSOCKET_MODULE=$(MODULE) WEBSOCKET_FAULTY_MODULE=$(faulty_module) \
	    $(run_tests) $(release)/t - $(PYTEST_OPTIONS)

# Runs the tests in a Debian 13 with the packages of that release.
.PHONY: test-debian13
test-debian13:
	@t/debian13.sh build/debian13

# For each change: clang-format, and the fastest third of the tests.
check:
	@t/deps.sh build test lint
	@clang-format --dry-run -Werror $(formatted)
	@$(MAKE) $(parallel) module examples unit-program
	@$(run_tests) build/t build/unit/unit_tests --check

unit:
	@t/deps.sh build test
	@$(MAKE) $(parallel) unit-program
	@build/unit/unit_tests

# libasan needs libstdc++ beside it, because nginx itself has no C++.
runtime = $$($(sanitize_cxx) -print-file-name=$1.so)
sanitized_module := build/sanitize/ngx_http_websocket_module.so
sanitized_examples := build/sanitize/examples
sanitize:
	@t/deps.sh build test
	@$(MAKE) $(parallel) examples faulty-module build/bench/websocket_load
	@$(MAKE) $(parallel) unit-program examples MODULE=$(sanitized_module) \
	    UNIT=build/sanitize/unit FAULTS=build/sanitize/faults \
	    EXAMPLES=$(sanitized_examples) CC=gcc CXX=$(sanitize_cxx) \
	    CXXFLAGS='$(sanitize_flags)' LDFLAGS='$(sanitize_flags)' \
	    CFLAGS='$(sanitize_flags)'
	@ASAN_OPTIONS=$(sanitize_options):detect_leaks=0 \
	UBSAN_OPTIONS=$(sanitize_options) \
	WEBSOCKET_PRELOAD="$(call runtime,libasan) $(call runtime,libstdc++)" \
	WEBSOCKET_MODULE=$(sanitized_module) WEBSOCKET_SLOWNESS=5 \
	WEBSOCKET_EXAMPLES=$(sanitized_examples) \
	    $(run_tests) build/sanitize/t build/sanitize/unit/unit_tests \
	    $(PYTEST_OPTIONS)

# The actions are random, from a seed that is printed: SOAK_SEED=N repeats them.
.PHONY: soak-redis soak-http
soak-redis:
	@$(MAKE) soak SOAK_HOSTS=2

soak-http:
	@$(MAKE) soak SOAK_BACKEND=1

soak:
	@t/deps.sh build test
	@$(MAKE) $(parallel) module
	@PYTHONPYCACHEPREFIX=build/t/pycache SOAK_SECONDS=$(SOAK_SECONDS) \
	    SOAK_SEED=$(SOAK_SEED) SOAK_HOSTS=$(SOAK_HOSTS) \
	    SOAK_REDIS=$(SOAK_REDIS) SOAK_BACKEND=$(SOAK_BACKEND) \
	    $(PYTHON) t/soak/soak.py

# Each target starts from its corpus and the inputs that earlier runs found.
fuzz_names := $(patsubst t/fuzz/%_fuzz.cpp,%,$(fuzz_sources))
.PHONY: $(fuzz_names:%=fuzz-%)
fuzz:
	@t/deps.sh build fuzz
	@$(MAKE) $(parallel) $(fuzz_names:%=build/fuzz/%_fuzz)
	@$(MAKE) $(fuzz_names:%=fuzz-%)

$(fuzz_names:%=fuzz-%): fuzz-%:
	@mkdir -p build/fuzz/found/$*
	@echo "fuzzing $* for $(FUZZ_SECONDS) s, see build/fuzz/$*.log"
	@build/fuzz/$*_fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
	    -artifact_prefix=build/fuzz/$*- -print_final_stats=1 \
	    build/fuzz/found/$* t/fuzz/corpus/$* > build/fuzz/$*.log 2>&1 || \
	    { tail -n 60 build/fuzz/$*.log; exit 1; }
	@grep -h -e Done -e new_units build/fuzz/$*.log

# BENCH_OPTIONS passes options: see `t/bench/bench.py --help` and `rooms.py
# --help`.
core_bench = build/bench/protocol_bench
bench_script = PYTHONPYCACHEPREFIX=build/t/pycache $(PYTHON) t/bench
.PHONY: bench-full bench-charts bench-core bench-rooms bench-redis \
	bench-programs
bench: bench-programs
	@$(bench_script)/bench.py --short $(BENCH_OPTIONS)
	@$(bench_script)/http_bench.py

bench-full: bench-programs
	@$(bench_script)/bench.py $(BENCH_OPTIONS)

# Writes the results of the last run into t/bench/README.md.
bench-charts:
	@$(bench_script)/readme_results.py

.PHONY: bench-instructions bench-instructions-record
bench-instructions: bench-programs
	@$(bench_script)/instructions.py

bench-instructions-record: bench-programs
	@$(bench_script)/instructions.py --record

bench-core:
	@t/deps.sh build bench
	@$(MAKE) $(parallel) build/bench/protocol_bench
	@$(core_bench)

.PHONY: bench-deflate
bench-deflate:
	@t/deps.sh build bench
	@$(MAKE) $(parallel) build/bench/deflate_bench
	@build/bench/deflate_bench

# How long calls of the broker take, and hold its lock.
.PHONY: bench-holds
bench-holds:
	@t/deps.sh build bench
	@$(MAKE) $(parallel) $(hold_benches:%=build/bench/%)
	@set -e; for name in $(hold_benches); do build/bench/$$name; done

bench-rooms: bench-programs
	@$(MAKE) $(parallel) build/bench/broker_bench
	@$(bench_script)/rooms.py $(BENCH_OPTIONS)

bench-redis: bench-programs
	@$(bench_script)/redis_bench.py $(BENCH_OPTIONS)

.PHONY: bench-http bench-http-memory
bench-http:
	@t/deps.sh build test
	@$(MAKE) $(parallel) module
	@$(bench_script)/http_bench.py $(BENCH_OPTIONS)

bench-http-memory:
	@t/deps.sh build test
	@$(MAKE) $(parallel) module
	@$(bench_script)/http_memory.py

# The server ws is omitted without node or npm.
bench-programs:
	@t/deps.sh build bench
	@t/deps.sh peers || true
	@$(MAKE) $(parallel) module $(addprefix build/bench/,websocket_load \
	    raw_echo)

formatted = $(shell find src t examples -name '*.[ch]pp' -o -name '*.[ch]')
nginx_includes := $(addprefix -isystem $(nginx_src)/src/,core event \
	event/modules os/unix http http/modules http/v2)
.PHONY: format
format:
	@t/deps.sh lint
	@clang-format -i $(formatted)

# Compiles each layer as one source, which fails if two files define a name
# differently.
layers := $(sort $(patsubst src/%/,%,$(dir $(SOURCES))))
.PHONY: $(layers:%=lint-%)
$(layers:%=lint-%): lint-%:
	@printf '#include "%s"\n' $(patsubst src/%,%,$(filter src/$*/%,$(SOURCES))) | \
	    $(CXX) -std=c++20 -fsyntax-only -Wall -Wextra -Werror -I src \
	    $(nginx_includes) -isystem $(module_dir)/objs -x c++ -

lint:
	@t/deps.sh build lint
	@clang-format --dry-run -Werror $(formatted)
	@$(MAKE) module
	@$(MAKE) $(parallel) $(layers:%=lint-%)
	@printf '%s\n' $(SOURCES) | xargs -n 1 -P $(JOBS) sh -c 'clang-tidy \
	    --quiet "$$0" -- -std=c++20 -I src $(nginx_includes) \
	    -isystem $(module_dir)/objs 2>&1 | \
	    { ! grep -v "warnings generated\.$$"; }'
