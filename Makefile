# Build, test and demo targets. `make help` lists them. Everything generated goes to build/ (or build-san/ with SAN=1).
SAN ?=
DIST ?=
B   := build$(if $(SAN),-san)$(if $(DIST),-dist)
CC  ?= cc
PKGS := jansson libzip libpng libjpeg libxxhash zlib
CFLAGS_BASE := -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -g -I. -I$(B)/gen -fopenmp $(shell pkg-config --cflags $(PKGS))
comma := ,
OPT := $(if $(SAN),-O1 -fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer,-O2)
CFLAGS := $(CFLAGS_BASE) $(OPT)
LDLIBS := $(shell pkg-config --libs $(PKGS)) -lm -ldl -lpthread
# DIST=1: programs that run elsewhere (tools/dist/stage.sh). What has a static library is linked in, found first in a folder of links to those, and is not
# exported to the kernels that ect-rt loads: they bring their own OpenMP. libzip has none and lies beside the programs with
# what it needs, which only an RPATH, not a RUNPATH, finds.
ifdef DIST
$(shell sh tools/static_libs.sh $(B)/static >&2)
OPT += -ffile-prefix-map=$(CURDIR)=.
LDLIBS := -L$(CURDIR)/$(B)/static $(LDLIBS) -Wl,--exclude-libs,ALL -Wl,--disable-new-dtags -Wl,-rpath,'$$ORIGIN/../lib' -Wl,--as-needed
BLAS := -Wl,-u,cblas_sgemm,-u,openblas_set_num_threads,-u,openblas_get_config -lopenblas
endif

BASE_SRC := runtime/base.c runtime/rng.c runtime/expr.c runtime/predict.c runtime/number.c runtime/table.c runtime/plan_read.c runtime/plan_programs.c
DSL_SRC  := $(wildcard dsl/*.c)
EC_SRC   := $(filter-out compiler/main.c,$(wildcard compiler/*.c))
RT_SRC   := $(filter-out runtime/main.c $(BASE_SRC),$(wildcard runtime/*.c)) $(wildcard cache/*.c)
UNIT_SRC := $(wildcard tests/unit/*.c)
TOOL_SRC := $(wildcard tests/tools/*.c)
FUZZ_SRC := $(wildcard tests/fuzz/*.c)
GPU_SRC  := $(wildcard tests/gpu/*.c)

obj = $(patsubst %.c,$(B)/%.o,$(1))
GEN_OBJ  := $(B)/gen/grammar.o $(B)/gen/lexer.o $(B)/gen/std_embed.o
EC_OBJ   := $(call obj,$(DSL_SRC) $(EC_SRC)) $(GEN_OBJ) $(call obj,$(BASE_SRC))
RT_OBJ   := $(call obj,$(RT_SRC) $(BASE_SRC)) $(B)/gen/emu_embed.o
UNIT_BIN := $(patsubst tests/unit/%.c,$(B)/tests/%,$(UNIT_SRC))
TOOL_BIN := $(patsubst tests/tools/%.c,$(B)/tests-tools/%,$(TOOL_SRC)) $(B)/tests-tools/fuzz $(B)/tests-tools/gpu $(B)/tests-mock/libcuda.so.1 $(B)/tests-mock/libnvrtc.so.12 $(B)/tests-mock-lt/libcublasLt.so.13

all: $(B)/ectc $(B)/ect-rt

$(B)/ectc: $(call obj,compiler/main.c) $(EC_OBJ)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)
$(B)/ect-rt: $(call obj,runtime/main.c) $(RT_OBJ)
	$(CC) $(CFLAGS) -rdynamic -o $@ $^ $(LDLIBS) $(BLAS)

# Unit tests link everything but the two mains.
$(B)/tests/%: $(B)/tests/unit/%.o $(EC_OBJ) $(RT_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $(sort $^) $(LDLIBS) -lcmocka

# Programs the shell tests use.
$(B)/tests-tools/fuzz: $(call obj,$(FUZZ_SRC)) $(RT_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)
# As in ect-rt: the mock driver looks for blas_sgemm.
$(B)/tests-tools/gpu: $(call obj,$(GPU_SRC)) $(RT_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -rdynamic -o $@ $^ $(LDLIBS) $(BLAS)
$(B)/tests-tools/exact: $(call obj,$(wildcard tests/exact/*.c))
$(B)/tests-tools/blocks: $(call obj,$(wildcard tests/blocks/*.c))
# As in ect-rt: the mock driver looks for blas_sgemm.
$(B)/tests-tools/updates: EXPORT := -rdynamic
$(B)/tests-tools/%: $(B)/tests/tools/%.o $(RT_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(EXPORT) -o $@ $^ $(LDLIBS)
# A CUDA driver on the host, for tests of the device `cuda` where there is no GPU.
$(B)/tests-mock/libcuda.so.1: tests/mock/cuda_driver.c tests/mock/kernels.h runtime/cuda_driver.h runtime/emu.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -fPIC -shared -fvisibility=hidden -o $@ $< -ldl
$(B)/tests-mock/libnvrtc.so.12: tests/mock/nvrtc.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -fPIC -shared -Wl,--build-id -o $@ $<

# The same beside a cuBLASLt, in a folder of its own: without it products are the kernels'.
$(B)/tests-mock-lt/libcublasLt.so.13: tests/mock/cublaslt.c runtime/cublaslt.h $(B)/tests-mock/libcuda.so.1 $(B)/tests-mock/libnvrtc.so.12
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -ffp-contract=off -fPIC -shared -fvisibility=hidden -o $@ $< -ldl -lm
	for l in libcuda.so.1 libnvrtc.so.12; do ln -sf ../tests-mock/$$l $(@D)/$$l; done

$(B)/gen/grammar.h: $(B)/gen/grammar.c ;
$(B)/gen/grammar.c: dsl/grammar.y
	@mkdir -p $(B)/gen
	bison -Wall -Werror -o $(B)/gen/grammar.c --header=$(B)/gen/grammar.h $<
$(B)/gen/lexer.c: dsl/lexer.l $(B)/gen/grammar.h
	flex -o $@ $<
$(B)/gen/cuda_prelude.cuh: tools/cuda_prelude.sh runtime/kernel_prelude.h runtime/cuda_prelude.cuh
	@mkdir -p $(B)/gen
	sh tools/cuda_prelude.sh > $@
$(B)/gen/std_embed.c: tools/embed.sh $(wildcard dsl/std/*.dsl) $(wildcard dsl/errors/*.md) runtime/kernel_prelude.h $(B)/gen/cuda_prelude.cuh $(wildcard compiler/report/*)
	sh tools/embed.sh $(B)/gen/cuda_prelude.cuh > $@
$(B)/gen/emu_embed.c: tools/embed_text.sh runtime/emu_api.h runtime/cuda_emu.hpp
	@mkdir -p $(B)/gen
	sh tools/embed_text.sh emu_header_text runtime/emu_api.h runtime/cuda_emu.hpp > $@
$(B)/gen/%.o: $(B)/gen/%.c
	$(CC) $(CFLAGS) -Wno-unused-function -Wno-sign-compare -Idsl -MMD -c -o $@ $<
$(B)/%.o: %.c | $(B)/gen/grammar.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -c -o $@ $<

unit: $(UNIT_BIN)
tests: unit $(TOOL_BIN)

# The test runner prints the ten slowest and ends with `N passed, M failed, K skipped`.
check: all tests
	@sh tests/run.sh --build $(B)
check-all: all tests
	@sh tests/run.sh --build $(B) --long
# Thousands of random programs, an hour or so: NIGHT_SEEDS of them from seed NIGHT_FIRST on.
NIGHT_SEEDS ?= 2000
NIGHT_FIRST ?= 1001
check-night: all tests
	@SRC=$(CURDIR) BUILD=$(CURDIR)/$(B) ECTC=$(CURDIR)/$(B)/ectc NIGHT_SEEDS=$(NIGHT_SEEDS) NIGHT_FIRST=$(NIGHT_FIRST) \
	    sh tests/fuzz/long_night.sh
# Everything again under AddressSanitizer and UndefinedBehaviorSanitizer; a finding aborts, which no test takes for an expected status. Leaks are no
# finding: the programs end without freeing what lives as long as they do.
check-san:
	$(MAKE) SAN=1 all tests
	@ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1 SLOW_FACTOR=4 \
	    sh tests/run.sh --build build-san
demo: all
	sh tools/demo.sh $(B)
bench: all $(TOOL_BIN)
	sh bench/compile.sh --build $(B)
	sh bench/bytes.sh --build $(B)
	sh bench/train_step.sh --build $(B)
	sh bench/sample.sh --build $(B)
	sh bench/rows.sh --build $(B)
	sh bench/profile.sh --build $(B)
# An archive that runs on other machines, and its check of a GPU from here: all of it, or the half that compares and the half that measures.
VERSION := $(shell sed -n 's/^.define ECT_VERSION "\(.*\)"/\1/p' runtime/base.h)
ARCHIVE := ect-$(VERSION)-x86_64
GPU_PROGRAMS := ectc ect-rt tests-tools/gpu tests-tools/oracle tests-tools/cuda_plan
dist:
	$(MAKE) DIST=1 $(addprefix build-dist/,$(GPU_PROGRAMS))
	sh tools/dist/stage.sh build-dist build-dist/$(ARCHIVE)
	@mkdir -p dist
	tar -C build-dist --sort=name --owner=0 --group=0 --mtime=@0 -cf - $(ARCHIVE) | gzip -9n >dist/$(ARCHIVE).tar.gz.new
	mv dist/$(ARCHIVE).tar.gz.new dist/$(ARCHIVE).tar.gz
	@ls -l dist/$(ARCHIVE).tar.gz
RESULTS ?= $(B)/gpu-results
GPU_SECONDS ?= 540
check-gpu bench-gpu: $(addprefix $(B)/,$(GPU_PROGRAMS))
	sh tools/dist/stage.sh $(B) $(B)/gpu $(if $(filter bench-gpu,$@),--no-references)
	$(B)/gpu/run-gpu $(RESULTS) --seconds $(GPU_SECONDS) --only $(@:-gpu=)
PREFIX ?= /usr/local
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/ect/models
	install -m 755 $(B)/ectc $(B)/ect-rt $(DESTDIR)$(PREFIX)/bin
	install -m 644 docs/man/ectc.1 docs/man/ect-rt.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(wildcard models/*.dsl) $(DESTDIR)$(PREFIX)/share/ect/models
clean:
	rm -rf build build-san build-dist dist
help:
	@echo "make [all] | unit | tests | check | check-all | check-night | check-san | demo | bench | dist | check-gpu | bench-gpu | install PREFIX=... | clean"

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.PHONY: all unit tests check check-all check-night check-san demo bench dist check-gpu bench-gpu install clean help
.SECONDARY:
