#!/usr/bin/env bash
# What the README says to a C programmer: install, and `cc app.c $(pkg-config --cflags --libs ravine)`,
# with the shared library and with the archive; and uninstall takes everything away.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

make --no-print-directory -C "$root" install PREFIX="$work/usr" > /dev/null
export PKG_CONFIG_PATH=$work/usr/lib/pkgconfig

# The README's first program, as it stands there.
awk '/^```c$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' "$root/README.md" > "$work/app.c"
grep -q rvn_optimizer_create "$work/app.c"

cc -std=c99 -Wall -Wextra -Wpedantic -Werror "$work/app.c" -o "$work/shared" $(pkg-config --cflags --libs ravine)
said=$(LD_LIBRARY_PATH=$work/usr/lib "$work/shared")
[ "$said" = 'ok 3.00 -1.00' ] || { echo "the README's program said: $said"; exit 1; }

cc -std=c99 "$work/app.c" -o "$work/static" $(pkg-config --cflags ravine) "$work/usr/lib/libravine.a" -lm
said=$("$work/static")
[ "$said" = 'ok 3.00 -1.00' ] || { echo "with the archive it said: $said"; exit 1; }

[ "$(pkg-config --modversion ravine)" = "$(awk '$2 == "RVN_VERSION_NUMBER" { print int($3 / 10000) "." int($3 / 100) % 100 "." $3 % 100 }' "$root/include/ravine.h")" ] \
  || { echo 'the version of ravine.pc is not that of the header'; exit 1; }

make --no-print-directory -C "$root" uninstall PREFIX="$work/usr" > /dev/null
left=$(find "$work/usr" -type f -o -type l)
[ -z "$left" ] || { echo "uninstall left: $left"; exit 1; }
echo 'install: ok'
