#!/usr/bin/env bash
# Rules of the house that the compiler does not know.
set -eu
cd "$(dirname "$0")/.."
bad=0
complain() { echo "$1"; bad=1; }

# Memory that grows with the model comes from Heap, which checks; allocate(capacity:) does not.
! grep -rnE '\.allocate\((capacity|byteCount)' Sources/ || complain 'unchecked allocation (use Heap)'
# Kernels are arithmetic only: their code may be emitted under another CPU's flags.
! grep -rnE '\b(addingProduct|fma)\b' Sources/Kernels || complain 'fused multiply-add in a kernel'
# The core depends on nothing.
! grep -rnE '^import (Foundation|Glibc|Darwin|Musl)' Sources/ || complain 'a dependency in the core'
! grep -rnE 'TODO|FIXME|XXX' Sources include bindings/python/src examples || complain 'unfinished work'
[ "$bad" = 0 ] && echo 'house rules: ok'
exit $bad
