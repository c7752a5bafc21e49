# Ravine. `make demo` is the first command, `make test` the second; `make help` lists the rest.
#
#   build/libravine.so.0   the shared library      build/libravine.a   the archive, one object
#   build/ravine.h         the header              build/ravine.pc     for pkg-config

PREFIX ?= /usr/local
DESTDIR ?=
CC ?= cc
VERSION := 0.1.0
ARCH := $(shell uname -m)
SCRATCH := .build-embedded
OBJECTS := $(SCRATCH)/release

# What the library exports: every function of the header.
open := (
EXPORTS := $(patsubst %$(open),%,$(shell grep -E '^[a-z]' include/ravine.h | grep -o 'rvn_[a-z_]*[$(open)]' | sort -u))
SWIFT_SOURCES := Package.swift $(shell find -L Sources include -name '*.swift' -o -name '*.c' -o -name '*.h')

.PHONY: all
all: build/libravine.so build/libravine.a build/ravine.h build/ravine.pc

# ---- the library ---------------------------------------------------------------------------------

$(SCRATCH)/ravine-c.done: $(SWIFT_SOURCES)
	swift build -c release --traits Embedded --scratch-path $(SCRATCH) --product ravine-c
	@touch $@

# Swift's own small objects go through the host's allocator (see Sources/CShims/scope.c), and of
# all symbols only rvn_* stay visible, so that the object can live in a host written in Swift.
# Without groups a linker cannot exchange our copy of a function for the host's. Swift emits what one
# module uses of another again; sections of their own (--unique) let the copies be dropped.
build/ravine.o: $(SCRATCH)/ravine-c.done
	@mkdir -p build
	ld -r --unique --force-group-allocation -o build/swift.o \
	  $(OBJECTS)/Kernels*.build/*.o $(OBJECTS)/Ravine.build/*.o $(OBJECTS)/CABI.build/*.o
	objcopy --redefine-sym posix_memalign=ravine_posix_memalign \
	  --redefine-sym free=ravine_swift_free build/swift.o
	ld -r --unique --gc-sections $(EXPORTS:%=-u %) -o $@ build/swift.o $(OBJECTS)/CShims.build/*.o
	objcopy --strip-debug --wildcard --keep-global-symbol='rvn_*' --remove-section=.swift1_autolink_entries $@
	@rm build/swift.o

build/libravine.so.0: build/ravine.o Sources/exports.map
	$(CC) -shared -o $@ $< -Wl,-soname,libravine.so.0 -Wl,-z,nodelete -Wl,-z,now \
	  -Wl,-z,noexecstack -Wl,--gc-sections -Wl,--version-script=Sources/exports.map \
	  -Wl,--no-undefined -Wl,--as-needed -Wl,-s -lm

build/libravine.so: build/libravine.so.0
	ln -sf libravine.so.0 $@

build/libravine.a: build/ravine.o
	@rm -f $@
	ar rcs $@ $<

build/ravine.h: include/ravine.h
	@mkdir -p build
	cp $< $@

build/ravine.pc: Makefile
	@mkdir -p build
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' \
	  'Name: ravine' 'Description: Optimizers, learning-rate schedules, gradient diagnostics' \
	  'Version: $(VERSION)' 'Libs: -L$${libdir} -lravine' 'Libs.private: -lm -lpthread' \
	  'Cflags: -I$${includedir}' > $@
