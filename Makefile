# One Makefile, no recursion, no configure. `make help` lists the targets.
PROG    := casbridge
CONFIG  ?= release
B       := build/$(CONFIG)
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)
HOSTCC  ?= gcc
PYTHON  ?= /usr/bin/python3
# what the tests read besides this tree; absent: they skip and say so
CASBRIDGE_SHARED ?= $(abspath ../shared)
export CASBRIDGE_SHARED

STD     := -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes \
           -Wold-style-definition -Wwrite-strings -Wvla -Wpointer-arith -Wundef \
           -Wimplicit-fallthrough -Wconversion -Wno-sign-conversion
WERROR  ?= 1
WARN    += $(if $(filter 1,$(WERROR)),-Werror)
HARDEN  := -fstack-protector-strong -fstack-clash-protection -fno-common
PIE     := -fPIE -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack
SAN     := -fno-omit-frame-pointer -fno-sanitize-recover=all
OPT.release  := -O2 -g $(HARDEN) -D_FORTIFY_SOURCE=2
OPT.debug    := -O0 -g3 $(HARDEN) -DDEBUG
# the newcomer's first look: built in half the time, on an organisation of nine servers
OPT.quick    := -O0 -g1 $(HARDEN)
OPT.asan     := -O1 -g -fsanitize=address,undefined $(SAN) -DDEBUG
OPT.tsan     := -O1 -g -fsanitize=thread $(SAN) -DDEBUG
OPT.coverage := -O0 -g --coverage -DDEBUG
OPT.fuzz     := -O1 -g -fsanitize=fuzzer-no-link,address,undefined $(SAN) -DDEBUG -DFUZZING
ifeq ($(CONFIG),fuzz)
CC := clang
endif
INCLUDES := -I. -I$(B) -I/usr/include/libxml2 -I/usr/include/postgresql
CFLAGS_ALL  = $(STD) $(WARN) $(OPT.$(CONFIG)) -fPIE -pthread $(INCLUDES) $(CPPFLAGS) $(CFLAGS)
LDFLAGS_ALL = $(OPT.$(CONFIG)) $(PIE) -pthread $(LDFLAGS)

# Layer -> archives and libraries it may link. A unit test links its own layer's chain only, so an upward call is a link error.
LAYERS        := core remoting tui
DEPS.core     :=
DEPS.remoting := core
DEPS.tui      := remoting core
LIBS.core     := -lldap -llber -lgssapi_krb5 -lkrb5 -lcurl -lssl -lcrypto -lsqlite3 -lpq -ljansson -lxml2 -lz -lm
LIBS.remoting := -lssh2
LIBS.tui      := -lncursesw -ltinfo
src     = $(filter-out tui/main.c core/gen/%,$(wildcard $(1)/*.c $(1)/*/*.c)) $(GEN.$(1))
objs    = $(patsubst $(B)/%.c,$(B)/%.o,$(patsubst %.c,$(B)/%.o,$(filter-out $(B)/%,$(call src,$(1)))) $(filter $(B)/%,$(call src,$(1))))
lib     = $(B)/lib$(1).a
chain   = $(call lib,$(1)) $(foreach d,$(DEPS.$(1)),$(call lib,$(d)))
syslibs = $(LIBS.$(1)) $(foreach d,$(DEPS.$(1)),$(LIBS.$(d)))
GEN.core := $(B)/core/model/builds.gen.c $(B)/core/route/rows.gen.c $(B)/core/report/style.gen.c
GEN.tui  := $(B)/tui/themes.gen.c

.PHONY: all setup-build setup-run setup-test setup-bench run test bench bench-directory bench-psrp lint unit unit-threads helpers \
        integration console asan debug tsan coverage fuzz fuzz-bins clean install uninstall man help compile_commands.json FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: build/$(PROG)        ## build the program: build/casbridge

build/$(PROG): build/release/$(PROG)
	$(Q)ln -sf release/$(PROG) $@
ifneq ($(CONFIG),release)
build/release/$(PROG): FORCE
	$(Q)$(MAKE) --no-print-directory CONFIG=release build/release/$(PROG)
endif

define layer_rules
$(call lib,$(1)): $(call objs,$(1))
	@echo "  AR    $$@"; rm -f $$@
	$(Q)$(AR) rcs $$@ $$^
$(B)/tests/unit/$(1)_%: $(B)/tests/unit/$(1)_%.o $(call chain,$(1))
	@echo "  LD    $$@"
	$(Q)$$(CC) $$(LDFLAGS_ALL) -o $$@ $$^ $(call syslibs,$(1)) -lcmocka
endef
$(foreach l,$(LAYERS),$(eval $(call layer_rules,$(l))))

$(B)/$(PROG): $(B)/tui/main.o $(foreach l,tui remoting core,$(call lib,$(l)))
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS.tui) $(LIBS.remoting) $(LIBS.core)
$(B)/%.o: %.c $(B)/.flags
	@echo "  CC    $<"; mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<
$(B)/%.gen.o: $(B)/%.gen.c $(B)/.flags
	@echo "  CC    $<"
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<
$(B)/.flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(CFLAGS_ALL)' | cmp -s - $@ || echo '$(CC) $(CFLAGS_ALL)' > $@
FORCE:

# tables that are data: CSV and theme files become C at build time
build/tools/%: core/gen/%.c
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) -std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -o $@ $<
$(B)/core/model/builds.gen.c: core/model/builds.csv core/model/builds.spec build/tools/csv2c
	@mkdir -p $(@D); echo "  GEN   $@"
	$(Q)build/tools/csv2c core/model/builds.spec $< > $@
$(B)/core/route/rows.gen.c: core/route/routing.csv core/route/routing.spec build/tools/csv2c
	@mkdir -p $(@D); echo "  GEN   $@"
	$(Q)build/tools/csv2c core/route/routing.spec $< > $@
$(B)/core/report/style.gen.c: core/report/report.css build/tools/text2c
	@mkdir -p $(@D); echo "  GEN   $@"
	$(Q)build/tools/text2c report_style $< > $@
$(B)/tui/themes.gen.c: $(wildcard themes/*.theme) build/tools/text2c
	@mkdir -p $(@D); echo "  GEN   $@"
	$(Q)build/tools/text2c theme_builtin $(sort $(wildcard themes/*.theme)) > $@

UNIT := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/*.c))
unit: $(UNIT)             ## unit tests of this CONFIG
	$(Q)tests/run-unit $(B) $(UNIT)

FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
fuzz-bins: $(FUZZERS:%=build/fuzz/tests/fuzz/%)
build/fuzz/tests/fuzz/%: build/fuzz/tests/fuzz/%.o $(foreach l,tui remoting core,build/fuzz/lib$(l).a)
	@echo "  LD    $@"
	$(Q)clang -fsanitize=fuzzer,address,undefined -pthread -o $@ $^ $(LIBS.tui) $(LIBS.remoting) $(LIBS.core)
fuzz:                     ## libFuzzer targets, run briefly each (FUZZ_SECONDS=5)
	$(Q)$(MAKE) --no-print-directory CONFIG=fuzz fuzz-bins
	$(Q)tests/run-fuzz build/fuzz/tests/fuzz

# two threads or more: run again under the thread sanitizer
THREADED := core_base core_host core_ldif_ahead core_store_shared core_plan_apply core_plan_broken_off core_plan_replica \
            core_proxy_parts core_proxy_relay core_proxy_faults core_probe_servers core_probe_logon core_probe_apps_ask core_probe_budget \
            remoting_ssh_host remoting_winrm tui_secret tui_watch
unit-threads: $(filter $(addprefix $(B)/tests/unit/,$(THREADED)),$(UNIT))
	$(Q)tests/run-unit $(B) $^

# helpers of the integration and console tests
$(B)/tests/integration/%: $(B)/tests/integration/%.o $(call chain,remoting)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(call syslibs,remoting)
build/tests/console/%: tests/console/%.c $(wildcard tests/console/*.h)
	@mkdir -p $(@D); echo "  LD    $@"
	$(Q)$(HOSTCC) -std=c11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -o $@ $< -lvterm -lutil
build/release/tests/bench/psrp: build/release/tests/bench/psrp.o build/release/libremoting.a build/release/libcore.a
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS.remoting) $(LIBS.core)
bench-psrp:               ## 10 MB through PSRP and CLIXML to JSON
	$(Q)$(MAKE) --no-print-directory CONFIG=release build/release/tests/bench/psrp
	$(Q)build/release/tests/bench/psrp
HELPERS := $(patsubst %.c,%,$(wildcard tests/integration/*.c))
helpers: $(addprefix $(B)/,$(HELPERS)) $(patsubst %.c,build/%,$(wildcard tests/console/*.c))

# benches: apart from the tests, since a time proves nothing on another day; each prints its ratios in one run
$(B)/tests/bench/meter: $(B)/tests/bench/meter.o # no library: what it holds itself counts as the peak of what it starts
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^
$(B)/tests/bench/%: $(B)/tests/bench/%.o $(call chain,core)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(call syslibs,core)
bench: setup-bench        ## every bench, and at the end which rows were reached
	$(Q)$(PYTHON) -B tests/bench/summary.py $(MAKE) bench-directory bench-remoting
bench-directory: setup-bench ## reading, rules, probes and routes of 500 servers, beside ldapsearch, grep and curl
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) build/$(PROG) $(addprefix $(B)/tests/bench/,meter answers work)
	$(Q)BENCH_BUILD=$(B) $(PYTHON) -B tests/bench/directory.py

setup-build: ; $(Q)tests/setup build
setup-run:   ; $(Q)tests/setup build lab
setup-test:  ; $(Q)tests/setup build lab test
setup-bench: ; $(Q)tests/setup build lab bench
JOBS := $(shell nproc 2>/dev/null || echo 2)

run: setup-run            ## install what is missing, build, start the lab, open the console on it
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) CONFIG=quick build/quick/$(PROG)
	$(Q)tests/lab/lab up
	$(Q)build/quick/$(PROG) --config build/lab/config.ini --profile lab; rc=$$?; tests/lab/lab down; exit $$rc

test: setup-test          ## install what is missing, then every test
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) build/$(PROG) helpers
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) CONFIG=asan build/asan/$(PROG) helpers $(UNIT:$(B)/%=build/asan/%)
	$(Q)tests/run-all
lint:                     ## layers, banned calls, file sizes, headers, format
	$(Q)tests/lint
integration:              ## the program against the lab
	$(Q)CASBRIDGE=$(B)/$(PROG) $(PYTHON) -m pytest -q -p no:cacheprovider tests/integration
console:                  ## the console as a person sees it
	$(Q)CASBRIDGE=$(B)/$(PROG) tests/console/run
asan debug tsan coverage: ## build and unit-test with that instrumentation
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) CONFIG=$@ build/$@/$(PROG) unit

# remote commands and changes, beside ssh and beside what is possible at best; each row prints its ratio
.PHONY: bench-remoting
$(B)/tests/bench/remoting/%: $(B)/tests/bench/remoting/%.o $(call chain,remoting)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(call syslibs,remoting)
BENCH_REMOTING := $(patsubst %.c,$(B)/%,$(wildcard tests/bench/remoting/*.c)) build/release/tests/bench/psrp
bench-remoting: setup-bench ## remote commands and changes against ssh, python3-winrm and the ideal schedule
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) build/$(PROG) $(BENCH_REMOTING)
	$(Q)$(PYTHON) -B tests/bench/remoting/run.py

PREFIX ?= /usr/local
install: all              ## to PREFIX (/usr/local), DESTDIR honoured
	install -D -m 755 build/release/$(PROG) $(DESTDIR)$(PREFIX)/bin/$(PROG)
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	build/$(PROG) help man > $(DESTDIR)$(PREFIX)/share/man/man1/$(PROG).1
	build/$(PROG) completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$(PROG)
uninstall:                ## take it back
	rm -f $(DESTDIR)$(PREFIX)/bin/$(PROG) $(DESTDIR)$(PREFIX)/share/man/man1/$(PROG).1 \
	      $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$(PROG)
man: build/$(PROG)        ## the manual page, from the tables
	$(Q)build/$(PROG) help man > build/$(PROG).1 && echo build/$(PROG).1

clean:                    ## remove what was built (the lab stays)
	rm -rf build/release build/quick build/debug build/asan build/tsan build/coverage build/fuzz build/tools build/$(PROG)
help:                     ## this list
	@grep -hE '^[a-z][a-z -]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16
compile_commands.json:
	bear -- $(MAKE) CONFIG=debug all
-include $(shell find $(B) -name '*.d' 2>/dev/null)
