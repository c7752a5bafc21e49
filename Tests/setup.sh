#!/usr/bin/env bash
# What the commands need beside Swift. `tools`: programs, installed where this may be (root on Debian
# or Ubuntu), else named. `venv FOLDER REQUIREMENTS`: Python packages, in a folder of their own.
set -eu

tools() {
  missing=
  need() { command -v "$1" > /dev/null 2>&1 || missing="$missing $2"; }
  command -v swift > /dev/null || { echo 'Swift 6.2 or later is needed: https://www.swift.org/install' >&2; exit 1; }
  need cc gcc
  need ld binutils
  need python3 python3
  need pkg-config pkg-config
  need qemu-aarch64 qemu-user
  need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
  need valgrind valgrind
  need mpicc 'openmpi-bin libopenmpi-dev'
  python3 -c 'import ensurepip' > /dev/null 2>&1 || missing="$missing python3-venv"
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "installing$missing"
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing) > /dev/null 2>&1 \
      || echo "could not install all of:$missing"
  else
    echo "not installed:$missing (sudo apt-get install$missing)"
  fi
  for tool in cc ld python3; do
    command -v $tool > /dev/null || { echo "$tool is needed: sudo apt-get install$missing" >&2; exit 1; }
  done
}

venv() {
  [ -x "$1/bin/python3" ] || python3 -m venv "$1"
  "$1/bin/python3" -m pip install --quiet --disable-pip-version-check -r "$2"
}

"$@"
