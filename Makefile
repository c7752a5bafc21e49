# Ravine. `make demo` trains a model, `make test` checks everything, `make help` lists the rest.

PREFIX ?= /usr/local
DESTDIR ?=
VERSION := 0.1.0
PYTHON ?= python3
VENV := build/venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

comma := ,

.PHONY: all archive
all: build/libravine.so archive build/ravine.h build/ravine.pc

.PHONY: help
help:
	@echo 'make             the library: build/libravine.so.0, libravine.a, ravine.h, ravine.pc'
	@echo 'make demo        build it, train a network on handwritten digits from C, then from Python'
	@echo 'make test        every test'
	@echo 'make test-fuzz   only the fuzzers of recipes and checkpoints, SECONDS=$(SECONDS) each'
	@echo 'make mpi         the example on several processes, with their share of the state each; needs MPI'
	@echo 'make bench       ratios against the same memory traffic, numpy, torch and optax'
	@echo 'make docs        the reference and health pages and the README table, from the library'
	@echo 'make install     into PREFIX ($(PREFIX)); make uninstall takes it away again'
	@echo 'make clean       remove what was built'

# ---- the library ---------------------------------------------------------------------------------

SOURCES := Package.swift $(shell find -L Sources include -name '*.swift' -o -name '*.c' -o -name '*.h')

# What the library exports: every function of the header.
open := (
EXPORTS := $(patsubst %$(open),%,$(shell grep -E '^[a-z]' include/ravine.h | grep -o 'rvn_[a-z_]*[$(open)]' | sort -u))

# lld, which comes with Swift, also keeps only one of functions that are the same.
FOLDING := $(if $(shell command -v ld.lld),-fuse-ld=lld -Wl$(comma)--icf=all)
SHARED := -shared -Wl,-soname,libravine.so.0 -Wl,-z,nodelete -Wl,-z,now -Wl,-z,noexecstack \
  -Wl,--gc-sections -Wl,--version-script=Sources/exports.map -Wl,--as-needed

# $(call library,FOLDER,SCRATCH,SWIFT FLAGS,BINUTILS PREFIX,LINK COMMAND)
#
# All objects become one. Swift's own small objects go through the host's allocator (see
# Sources/CShims/scope.c). Swift emits what one module uses of another again; sections of their own
# (--unique) let the copies be dropped. Of all symbols only rvn_* stay visible and no section is in a
# group, so that the object can live in a host that is itself written in Swift. The package manager
# leaves the objects of files that are gone, and does not see that a header or a flag changed. Literals end
# up end to end, not on multiples of 16.
define library
$(2)/ravine.done: $(SOURCES)
	@echo "swift build for $(1)"
	@[ -z "$$$$(find -L Package.swift Sources/*/include include -newer $$@ 2>/dev/null)" ] || rm -rf $(2)
	@mkdir -p $(2)
	@swift build -c release --scratch-path $(2) --product ravine-c $(3) > $(2)/ravine.log 2>&1 \
	  || { cat $(2)/ravine.log; exit 1; }
	@grep -h ' warning: ' $(2)/ravine.log || true
	@ls $(2)/release/*.build/*.swift.o | grep -vF "$$$$(find Sources -name '*.swift' | sed 's|.*/|/|; s|$$$$|.o|')" \
	  | xargs -r rm
	@touch $$@

$(1)/ravine.o: $(2)/ravine.done
	@mkdir -p $(1)
	@$(4)ld -r --unique --force-group-allocation -o $(1)/swift.o \
	  $(2)/release/Kernels*.build/*.o $(2)/release/Ravine.build/*.o $(2)/release/CABI.build/*.o
	@$(4)objcopy --redefine-sym posix_memalign=ravine_posix_memalign \
	  --redefine-sym free=ravine_swift_free $(1)/swift.o
	@$(4)ld -r --unique --gc-sections $(EXPORTS:%=-u %) -o $$@ $(1)/swift.o $(2)/release/CShims.build/*.o
	@$(4)objcopy --strip-debug --wildcard --keep-global-symbol='rvn_*' \
	  --remove-section=.swift1_autolink_entries --remove-section=.swift_modhash \
	  --set-section-alignment '.rodata.str1.16=1' $$@
	@rm $(1)/swift.o

$(1)/libravine.so.0: $(1)/ravine.o Sources/exports.map
	@$(5) $(SHARED) -o $$@ $$< -lm
	@ln -sf libravine.so.0 $(1)/libravine.so
	@echo "built $$@"
endef

# Where the toolchain has no Embedded standard library for this machine, the Swift runtime is linked in.
RUNTIME := $(shell dirname "$$(dirname "$$(readlink -f "$$(command -v swiftc)")")")/lib/swift/embedded
ifneq ($(wildcard $(RUNTIME)/$(shell uname -m)-unknown-linux-gnu),)
$(eval $(call library,build,.build-embedded,--traits Embedded,,cc $(FOLDING) -Wl$(comma)-s -Wl$(comma)--no-undefined))
archive: build/libravine.a
else
build/libravine.so.0: $(SOURCES) Sources/exports.map
	@echo "no Embedded Swift for this machine: building with the Swift runtime linked in (-static-stdlib)"
	@mkdir -p build
	swift build -c release --scratch-path .build-static --product ravine-c
	swiftc -static-stdlib -emit-library -o $@ .build-static/release/*.build/*.o -Xlinker -s \
	  $(addprefix -Xclang-linker ,$(filter-out -shared,$(SHARED))) -lm
archive:
	@echo 'no archive: it needs Embedded Swift'
endif

build/libravine.so: build/libravine.so.0
	@ln -sf libravine.so.0 $@
	@touch -h $@

build/libravine.a: build/ravine.o
	@rm -f $@
	@mkdir -p build/archive
	@objcopy --strip-unneeded $< build/archive/ravine.o
	@ar rcs $@ build/archive/ravine.o

build/ravine.h: include/ravine.h
	@mkdir -p build
	@cp $< $@

build/ravine.pc: Makefile
	@mkdir -p build
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' \
	  'Name: ravine' 'Description: Optimizers, learning-rate schedules, gradient diagnostics' \
	  'Version: $(VERSION)' 'Libs: -L$${libdir} -lravine' 'Libs.private: -lm -lpthread' \
	  'Cflags: -I$${includedir}' > $@

.PHONY: install uninstall clean
install: all
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include
	install -m 644 build/ravine.h $(DESTDIR)$(PREFIX)/include/ravine.h
	install -m 755 build/libravine.so.0 $(DESTDIR)$(PREFIX)/lib/libravine.so.0
	ln -sf libravine.so.0 $(DESTDIR)$(PREFIX)/lib/libravine.so
	[ ! -e build/libravine.a ] || install -m 644 build/libravine.a $(DESTDIR)$(PREFIX)/lib/libravine.a
	sed 's|^prefix=.*|prefix=$(PREFIX)|' build/ravine.pc > $(DESTDIR)$(PREFIX)/lib/pkgconfig/ravine.pc

uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,include/ravine.h lib/libravine.so lib/libravine.so.0 \
	  lib/libravine.a lib/pkgconfig/ravine.pc)

clean:
	rm -rf build .build .build-*

# ---- what the commands need -------------------------------------------------------------------------

.PHONY: tools
tools:
	@bash Tests/setup.sh tools

$(VENV)/done: Tests/requirements.txt | tools
	@bash Tests/setup.sh venv $(VENV) $<
	@touch $@

# ---- the main job -------------------------------------------------------------------------------------

EXAMPLE_FLAGS := -std=c99 -O2 -Wall -Wextra -Wpedantic -Werror -Iinclude

build/examples/%: examples/c/%.c examples/c/digits.h include/ravine.h build/libravine.so
	@mkdir -p $(@D)
	@cc $(EXAMPLE_FLAGS) $< -Lbuild -lravine -lm '-Wl,-rpath,$$ORIGIN/..' -o $@

# Needs MPI (Debian: openmpi-bin libopenmpi-dev).
MPICC := $(shell command -v mpicc)

build/examples/mpi_train_digits: examples/mpi/train_digits.c examples/c/digits.h include/ravine.h build/libravine.so
	@mkdir -p $(@D)
	@mpicc $(EXAMPLE_FLAGS) $< -Lbuild -lravine -lm '-Wl,-rpath,$$ORIGIN/..' -o $@

.PHONY: examples mpi demo
examples: build/examples/quickstart build/examples/train_digits build/examples/check_gradient \
  $(if $(MPICC),build/examples/mpi_train_digits)

ifneq ($(MPICC),)
mpi: build/examples/mpi_train_digits
else
mpi:
	@echo 'no mpicc: make mpi needs MPI (sudo apt-get install openmpi-bin libopenmpi-dev)' >&2; exit 1
endif

demo: | tools
	@$(MAKE) --no-print-directory examples $(VENV)/done
	build/examples/quickstart
	build/examples/train_digits --save build/digits.safetensors
	PYTHONPATH=bindings/python/src $(PYTHON) examples/python/train_digits.py --plot build/digits.png

# ---- tests ------------------------------------------------------------------------------------------------

# The same library for AArch64, run under qemu: Embedded Swift has no standard library for
# aarch64-unknown-linux-gnu, but its code for the bare machine links against that C library.
CROSS := clang --target=aarch64-linux-gnu --gcc-toolchain=/usr $(FOLDING)
$(eval $(call library,build/aarch64,.build-aarch64,--traits Embedded --triple aarch64-none-none-elf \
  -Xcc -I/usr/aarch64-linux-gnu/include -Xcc -fPIC -Xcc -Wno-macro-redefined,aarch64-linux-gnu-,\
  $(CROSS)))
.build-aarch64/ravine.done: export RAVINE_ARCH := aarch64
$(eval $(call library,build/address,.build-address,--traits Embedded --sanitize=address,,clang -fuse-ld=lld))
$(eval $(call library,build/thread,.build-thread,--traits Embedded --sanitize=thread,,clang -fuse-ld=lld))

# Swift's own thread sanitizer wants libdispatch beside it.
SWIFT_LIB := $(dir $(RUNTIME))linux
DISPATCH := -L$(SWIFT_LIB) -ldispatch -lBlocksRuntime -Wl,-rpath,$(SWIFT_LIB)

.PHONY: test test-swift test-c test-sanitizers test-address test-thread test-aarch64 test-python \
  test-properties test-package test-fuzz
# What does not need another is run beside it.
BESIDE := $(MAKE) --no-print-directory --jobs=2 --output-sync=target
test: | tools
	@$(MAKE) --no-print-directory all examples $(VENV)/done
	@$(BESIDE) test-swift test-c test-aarch64
	@$(BESIDE) test-properties test-package test-address test-thread test-fuzz SECONDS=10
	@echo "all tests passed"

test-swift:
	swift test

test-c: all
	bash Tests/house.sh
	! grep -hs ' warning: ' .build-embedded/ravine.log
	bash Tests/C/install.sh
	bash Tests/C/symbols.sh build
	bash Tests/C/isa.sh build
	bash Tests/C/run.sh build build/tests
	for isa in sse2 avx2; do QUICK=1 RAVINE_ISA=$$isa bash Tests/C/run.sh build build/tests || exit 1; done

test-sanitizers: test-address test-thread

test-address: build/address/libravine.so.0
	QUICK=1 bash Tests/C/run.sh build/address build/address/tests clang -g -fuse-ld=lld -fsanitize=address,undefined

test-thread: build/thread/libravine.so.0
	QUICK=1 bash Tests/C/run.sh build/thread build/thread/tests clang -g -fuse-ld=lld -fsanitize=thread $(DISPATCH)

SECONDS ?= 600
test-fuzz:
	bash Tests/fuzz/fuzz.sh $(SECONDS)

test-aarch64:
	@bash Tests/aarch64.sh

test-python: test-properties test-package

PYTEST := PYTHONPATH=$(CURDIR)/bindings/python/src RAVINE_BUILD=$(CURDIR)/build $(PYTHON) -m pytest -q

test-properties: all examples $(VENV)/done
	$(PYTEST) Tests/python/test_properties.py

test-package: all examples $(VENV)/done
	$(PYTEST) --ignore Tests/python/test_properties.py Tests/python bindings/python/tests

.PHONY: bench docs
bench: all $(VENV)/done
	PYTHONPATH=$(CURDIR)/bindings/python/src RAVINE_BUILD=$(CURDIR)/build $(PYTHON) benchmarks/bench.py

docs: all $(VENV)/done
	PYTHONPATH=bindings/python/src $(PYTHON) docs/generate.py
	PYTHONPATH=bindings/python/src $(PYTHON) docs/health.py
