# Builds the module with nginx's own build system, in build/nginx/KEY.
#
# Each combination of nginx tree, compilers, their versions and flags has its own
# KEY, so that switching between them compiles nothing.  The file "sources" there
# lists what configure has seen: if a source is added or removed, configure runs
# again.

nginx_src := $(abspath $(NGINX_SRC))
nginx_marks := $(addprefix $(nginx_src)/,src/core/nginx.h conf_flags \
	objs/ngx_auto_config.h auto/make)

key := $(shell { printf '%s|' '$(CURDIR)' '$(nginx_src)' '$(CC)' '$(CXX)' \
	    '$(CFLAGS)' '$(CXXFLAGS)' '$(LDFLAGS)' '$(NGINX_OPTIONS)' \
	    '$(FILES_PER_OBJECT)'; \
	$(CC) --version; $(CXX) --version; \
	stat -c '%n:%s:%Y' $(nginx_marks); } 2> /dev/null | cksum | \
	cut -d ' ' -f 1)
module_dir := build/nginx/$(key)
parallel = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))
module_make = env -u CC -u CFLAGS $(MAKE) $(parallel) \
	-C $(module_dir)/tree -f $(CURDIR)/$(module_dir)/objs/Makefile

ifneq ($(file < $(module_dir)/sources),$(SOURCES))
.PHONY: $(module_dir)/sources
endif

.PHONY: toolchain
toolchain:
	@test -f $(nginx_src)/auto/make || { \
	    echo "no nginx source tree in $(nginx_src):" \
	        "install nginx-dev (make deps does) or set NGINX_SRC" >&2; exit 1; }
	@command -v $(firstword $(CC)) > /dev/null && \
	command -v $(firstword $(CXX)) > /dev/null || { \
	    echo "no compiler $(CC) or $(CXX):" \
	        "install g++ (make deps does) or set CC and CXX" >&2; exit 1; }

$(module_dir)/sources: | toolchain
	@mkdir -p $(@D) && printf '%s' '$(SOURCES)' > $@

$(module_dir)/configured: $(module_dir)/sources config src/config.make \
	src/configure.sh
	@echo "configuring $(nginx_src) in $(module_dir)"
	@CXX='$(CXX)' src/configure.sh $(nginx_src) $(CURDIR)/$(module_dir)
	@touch $@

# A running nginx may have mapped the library: replace the file, never write to
# it.
.PHONY: $(MODULE)
$(MODULE): $(module_dir)/configured
	+@$(module_make) -s modules
	@mkdir -p $(@D)
	@cmp -s $(module_dir)/objs/$(@F) $@ || { \
	    cp $(module_dir)/objs/$(@F) $@.new && mv $@.new $@ && echo "built $@"; }
