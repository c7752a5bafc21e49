#!/usr/bin/env bash
# Fuzzes what reads text and files that nobody vouches for: fuzz.sh [SECONDS] [recipe|checkpoint]
#
# Builds the ordinary (not Embedded) modules with coverage and AddressSanitizer into build/fuzz, and
# runs each target for so many seconds (60) from its seeds in corpus/. What it finds grows in
# build/fuzz; an input that crashes is named build/fuzz/TARGET-crash-*, and the exit status is not 0.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-60}
targets=${2:-recipe checkpoint}
out=$PWD/build/fuzz
flags="-O -wmo -g -parse-as-library -enable-testing -suppress-warnings -I include -I Sources/CShims/include -I $out
  -Xcc -ffp-contract=off -Xcc -fno-math-errno"
mkdir -p "$out"

newest=$(ls -t $(find Sources Tests/fuzz include -name '*.swift' -o -name '*.[ch]') "$0" | head -n 1)
if [ ! "$out/done" -nt "$newest" ]; then
  rm -f "$out"/*.o
  for file in Sources/CShims/*.c Tests/fuzz/support.c; do
    clang -c -O1 -g -fPIC -fsanitize=address -I Sources/CShims/include "$file" \
      -o "$out/$(basename "$file" .c).o"
  done
  swiftc $flags -Ounchecked -DBASELINE -module-name Kernels -emit-module -c \
    $(find Sources/Kernels -name '*.swift') -emit-module-path "$out/Kernels.swiftmodule" \
    -o "$out/Kernels.o"
  swiftc $flags -sanitize=fuzzer,address -module-name Ravine -emit-module -c \
    $(find Sources/Ravine -name '*.swift') -emit-module-path "$out/Ravine.swiftmodule" \
    -o "$out/Ravine.o"
  for target in recipe checkpoint; do
    swiftc $flags -sanitize=fuzzer,address -module-name "fuzz_$target" \
      Tests/fuzz/$target.swift "$out"/*.o -use-ld=lld -lm -o "$out/$target"
  done
  touch "$out/done"
fi

# A trap is a finding; Swift's own report of it would hang under the fuzzer.
export SWIFT_BACKTRACE=enable=no
for target in $targets; do
  mkdir -p "$out/$target.corpus"
  echo "fuzzing $target for $seconds s"
  "$out/$target" "$out/$target.corpus" Tests/fuzz/corpus/$target -max_total_time="$seconds" \
    -dict=Tests/fuzz/$target.dict -artifact_prefix="$out/$target-" -timeout=10 -max_len=4096 \
    -rss_limit_mb=1024 > "$out/$target.log" 2>&1 ||
    { tail -n 40 "$out/$target.log"; exit 1; }
  tail -n 1 "$out/$target.log"
done
