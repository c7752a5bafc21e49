#!/usr/bin/env bash
# What the shared library and the archive show to a linker, and want from it.
#
#   symbols.sh LIBDIR           check
#   symbols.sh LIBDIR --write   write undefined.txt anew, after looking at what changed and why
set -eu
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
lib=$1/libravine.so.0 archive=$1/libravine.a
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
complain() { echo "symbols: $1"; bad=1; }
same() { diff -u "$2" "$3" > "$work/diff" || { complain "$1"; tail -n +4 "$work/diff"; }; }

# Every function of the header, and nothing else.
cc -E -P "$here/../../include/ravine.h" | grep -oE '\brvn_[a-z0-9_]+ ?\([^*]' | grep -oE '^rvn_[a-z0-9_]+' | sort -u > "$work/header"
readelf -W --dyn-syms "$lib" > "$work/dynamic"
awk '$7 != "UND" && $5 != "LOCAL" && $4 == "FUNC" { sub(/@.*/, "", $8); print $8 }' "$work/dynamic" \
  | sort > "$work/exports"
same 'the shared library exports other functions than the header declares' "$work/header" "$work/exports"
awk '$7 != "UND" && $5 != "LOCAL" && $4 != "FUNC" && $8 && $8 !~ /^RAVINE_0/ && $1 ~ /:$/ && $1 != "Num:"' \
  "$work/dynamic" > "$work/data"
[ ! -s "$work/data" ] || { complain 'the shared library exports data'; cat "$work/data"; }
if awk '$4 == "TLS"' "$work/dynamic" | grep .; then complain 'a thread-local is visible'; fi

# Only libc.
readelf -W -d "$lib" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort > "$work/needed"
if grep -vE '^(libc\.so\.6|libm\.so\.6|ld-linux-(x86-64|aarch64)\.so\.[0-9]+)$' "$work/needed"; then
  complain 'the shared library needs more than libc'
fi
[ "$(readelf -W -d "$lib" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')" = libravine.so.0 ] || complain 'SONAME'
if readelf -W -d "$lib" | grep -E 'TEXTREL|RPATH|RUNPATH'; then complain 'relocations of code, or a path'; fi
readelf -W -d "$lib" | grep -q NODELETE || complain 'not linked -z nodelete'
if readelf -W -l "$lib" | grep GNU_STACK | grep -q RWE; then complain 'an executable stack'; fi

# Small.
cp "$lib" "$work/stripped" && strip "$work/stripped" 2> "$work/log" || true
size=$(stat -c %s "$work/stripped")
[ "$size" -lt 1000000 ] || complain "$size bytes stripped"

if [ -e "$archive" ]; then
  [ "$(ar t "$archive" | wc -l)" = 1 ] || complain 'the archive is not one object'
  nm -g --defined-only "$archive" | awk 'NF == 3 { print $3 }' | sort > "$work/global"
  same 'the archive shows other names than the functions of the header' "$work/header" "$work/global"
  if readelf -W -g "$archive" | grep -q 'COMDAT'; then complain 'groups, which a linker may exchange for those of a host'; fi
  if nm -g "$archive" | awk '$2 == "w" || $2 == "v" || $2 == "W" || $2 == "V" { print $3; found = 1 } END { exit !found }'; then
    complain 'weak symbols, which a host may replace'
  fi
  nm -u "$archive" | awk 'NF == 2 { print $2 }' | sort -u > "$work/undefined"
  if readelf -h "$archive" | grep -q X86-64; then
    [ "${2-}" != --write ] || { cp "$work/undefined" "$here/undefined.txt"; echo 'wrote undefined.txt'; }
    same 'the archive wants other symbols than undefined.txt lists' "$here/undefined.txt" "$work/undefined"
  fi
fi

[ "$bad" = 0 ] && echo "symbols: ok, $(wc -l < "$work/exports") functions, $size bytes stripped, needs $(tr '\n' ' ' < "$work/needed")"
exit $bad
