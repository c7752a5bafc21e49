#!/usr/bin/env bash
# The C tests on AArch64 under qemu: same bytes as here.
set -eu
for tool in qemu-aarch64 aarch64-linux-gnu-gcc aarch64-linux-gnu-ld; do
  if ! command -v $tool > /dev/null; then
    echo "SKIPPED: AArch64 ($tool is not installed: apt-get install qemu-user gcc-aarch64-linux-gnu)"
    exit 0
  fi
done
make --no-print-directory build/aarch64/libravine.so.0
EMULATED=1 QUICK=1 RUNNER='qemu-aarch64 -L /usr/aarch64-linux-gnu' bash Tests/C/run.sh build/aarch64 build/aarch64/tests aarch64-linux-gnu-gcc
