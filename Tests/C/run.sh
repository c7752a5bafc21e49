#!/usr/bin/env bash
# Compiles and runs the C tests against a built library; one line each.
#
#   run.sh LIBDIR OUTDIR [CC [FLAGS...]]
#
#   RAVINE_ISA=sse2 run.sh build out                                      another instruction set
#   run.sh build/address out clang -fsanitize=address,undefined           sanitizers
#   RUNNER='valgrind -q --error-exitcode=9' QUICK=1 run.sh build out gcc
#   RUNNER='qemu-aarch64 -L /usr/aarch64-linux-gnu' QUICK=1 run.sh DIR out aarch64-linux-gnu-gcc
#   ONLY='test_steps test_types' run.sh build out                         some of them
#
# With -static among the flags the object ravine.o is linked in place of the shared library. Without
# CC the tests are compiled with gcc and with clang, and run as gcc makes them.
set -u
here=$(cd "$(dirname "$0")" && pwd)
lib=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
cc=${3:-gcc}
[ $# -ge 3 ] && { plain=; shift 3; } || { plain=1; shift 2; }
include=$here/../../include
warnings='-Wall -Wextra -Wpedantic -Werror'
# 0.1f * x + y is two roundings in the references, too.
flags="-O1 -ffp-contract=off $warnings -I$include"
link=("-L$lib" -lravine "-Wl,-rpath,$lib")
case " $* " in *' -static '*) link=("$lib/ravine.o"); flags="$flags -DSTATIC_LINK" ;; esac
export TSAN_OPTIONS="die_after_fork=0:allocator_may_return_null=1:${TSAN_OPTIONS-}"
export ASAN_OPTIONS="allocator_may_return_null=1:${ASAN_OPTIONS-}"
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:${UBSAN_OPTIONS-}"
failed=0

report() { # name, status, log, started, lines to show
  local took=$(( ($(date +%s%N) - $4) / 100000000 ))
  took=$((took / 10)).$((took % 10))
  if [ "$2" = 0 ]; then
    echo "  $1: ok, $(tail -n 1 "$3"), $took s"
  else
    echo "  $1: FAILED with $2, $took s"
    sed 's/^/    /' "$3" | cut -c1-400 | head -n "${5-60}"
    failed=1
  fi
}

try() { # name, source, compiler and flags...
  local name=$1 source=$2 started status=0
  shift 2
  started=$(date +%s%N)
  if ! "$@" $flags "$source" -o "$out/$name" "${link[@]}" -lm -lpthread > "$out/$name.log" 2>&1; then
    report "$name, compiling" 1 "$out/$name.log" "$started" 12
    return
  fi
  timeout 600 ${RUNNER-} "$out/$name" > "$out/$name.log" 2>&1 || status=$?
  report "$name" "$status" "$out/$name.log" "$started"
}

wanted() { case " ${ONLY-$1} " in *" $1 "*) true ;; *) false ;; esac; }

echo "$cc $* against ${lib##*/}${RAVINE_ISA+, RAVINE_ISA=$RAVINE_ISA}${RUNNER+, $RUNNER}"
for source in "$here"/test_*.c; do
  name=$(basename "$source" .c)
  wanted "$name" || continue
  if [ "$plain" ] && command -v clang > /dev/null; then
    clang -std=c99 $flags -fsyntax-only "$source" > "$out/$name.log" 2>&1 \
      || report "$name, compiling with clang" 1 "$out/$name.log" "$(date +%s%N)" 12
  fi
  try "$name" "$source" "$cc" -std=c99 "$@"
done

if wanted test_header; then
  try test_header_c11 "$here/test_header.c" "$cc" -std=c11 "$@"
  case $cc in *clang) cxx=${cc}++ ;; *) cxx=${cc%gcc}g++ ;; esac
  if command -v "$cxx" > /dev/null; then
    cp "$here/test_header.c" "$out/test_header.cc"
    try test_header_cxx17 "$out/test_header.cc" "$cxx" -std=c++17 "-I$here" "$@"
  fi
fi

# An ordinary Swift program, with its own runtime, around the archive.
if [ "$plain" ] && wanted test_archive && [ -e "$lib/libravine.a" ] && command -v swiftc > /dev/null; then
  started=$(date +%s%N) status=0
  swiftc -O -I "$include" "$here/test_archive.swift" "$lib/libravine.a" -lm -o "$out/test_archive" \
    > "$out/test_archive.log" 2>&1 && "$out/test_archive" > "$out/test_archive.log" 2>&1 || status=$?
  report test_archive "$status" "$out/test_archive.log" "$started"
fi
exit $failed
