#!/usr/bin/env bash
# Which instructions stand where in the object of the library (x86-64). isa.sh LIBDIR
#
#  1. Nothing newer than the x86-64 baseline outside the kernels for AVX2 and AVX-512: another
#     machine would die of it. Nothing of AVX-512 in the kernels for AVX2.
#  2. Each loop there works on whole registers, without a call, and not lane by lane.
#  3. No estimates anywhere, and no fused multiply-add but of squares in kernels for Float, which are
#     exact in Double (ravine_add_square): results are the same on every machine.
#
# Three exceptions. What all rules or stages tell of a block is a call behind it (Told.take,
# measureUpdate), whose own loop, Told.add, copies its sums by a call at the baseline. A function may
# call __stack_chk_fail, which is not called unless the stack was overwritten. Identical functions of
# a module are merged into one without a name (.L__unnamed_1); it belongs to a module if all that
# refer to it do.
set -eu
export LC_ALL=C
object=$1/ravine.o
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! readelf -h "$object" | grep -q X86-64; then
  echo 'isa: SKIPPED, not x86-64'
  exit 0
fi
readelf -W -S "$object" > "$work/sections"
readelf -W -s "$object" > "$work/symbols"
readelf -W -r "$object" > "$work/relocations"
objdump -d -r -w --no-show-raw-insn "$object" > "$work/code"

awk '
# Sections in order: number, name. Those without a name of their own occur several times.
FILENAME ~ /sections$/ {
  if (match($0, /^ *\[ *[0-9]+\]/)) {
    number = substr($0, RSTART, RLENGTH); gsub(/[^0-9]/, "", number)
    split(substr($0, RSTART + RLENGTH), field, " ")
    name[number] = field[1]
    if (field[1] ~ /^\.text\.\.L__unnamed/) nth[field[1], ++times[field[1]]] = number
  }
  next
}
FILENAME ~ /symbols$/ { if ($4 == "SECTION") section_of[$1 + 0] = $7; next }
FILENAME ~ /relocations$/ {
  if (/^Relocation section/) { from = $3; gsub(/\047/, "", from); sub(/^\.rela/, "", from) }
  else if ($2 ~ /^[0-9a-f]+$/ && length($2) == 16) {
    symbol = hex(substr($2, 1, 8))
    to = section_of[symbol]
    if (to != "" && name[to] ~ /L__unnamed/) {
      l = level(from)
      if (!(to in owner)) owner[to] = l
      else if (owner[to] != l) owner[to] = 0
    }
  }
  next
}
function hex(s,   i, x) { x = 0; for (i = 1; i <= length(s); i++) x = 16 * x + index("0123456789abcdef", substr(s, i, 1)) - 1; return x }
function level(s) { return s ~ /KernelsAVX512/ ? 4 : s ~ /KernelsAVX2/ ? 3 : 0 }
# x x + sum of Doubles, by the order of the operands: sum, x, x or x, x, sum.
function is_square(m, operands,   o) {
  split(operands, o, ",")
  return f ~ /SfG?_/ && l > 0 && (m == "vfmadd213pd" && o[2] == o[3] || m == "vfmadd231pd" && o[1] == o[2])
}
function say(rule) { if (!((f, rule) in said)) { said[f, rule] = 1; print "isa: " rule ": " f "   " $0; bad = 1 } }

# The code. A function begins with its address and name.
/^Disassembly of section/ {
  section = $4; sub(/:$/, "", section)
  number = section ~ /L__unnamed/ ? nth[section, ++seen[section]] : ""
  next
}
/^[0-9a-f]+ </ {
  f = $0; sub(/^[0-9a-f]+ </, "", f); sub(/>:$/, "", f)
  l = number != "" ? owner[number] + 0 : level(f)
  loop = 0
  if (match(f, /Kernels(AVX2|AVX512)?[0-9]+(sweep|follow|measure|measureBlocks|measureSizes|measureUpdate|inspect|pass|scale|loadFloats|loadDoubles|storeFloats|storeDoubles|reflect|productTile)(yy|yS)|KernelsAVX(2|512)4ToldV3add/)) {
    loop = 1
    copies = f ~ /(load|store)(Floats|Doubles)/
    kind = l; count[kind]++
    loops[f] = l
  }
  next
}
/^ *[0-9a-f]+:/ {
  split($0, part, "\t")
  text = part[2]
  split(text, word, " ")
  m = word[1]
  if (m ~ /^v?fn?m(add|sub)/ && !is_square(m, word[2])) say("fused multiply-add")
  if (m ~ /^v?(rcp|rsqrt)/) say("an estimate")
  wide = text ~ /%zmm/ || text ~ /%k[0-7]/ || text ~ /%[xy]mm(1[6-9]|2[0-9]|3[01])/
  new = m ~ /^v/ || m ~ /^k(mov|or|and|xor|not|shift|test|unpck|add)/ || \
        m ~ /^(andn|bextr|bls[ir]|blsmsk|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx|lzcnt|tzcnt|popcnt|movbe|crc32)[lqw]?$/ || \
        m ~ /^(p?blendv?|pmovzx|pmovsx|pshufb|pmulld|pminsd|pmaxsd|roundp?s?[sd]|dpp[sd]|pabs|phadd|haddp|addsubp|movddup|movs[hl]dup|lddqu|insertps|extractps|ptest|pextr[bdq]|pinsr[bdq])/
  if (new && l == 0 && !(f ~ /best_level|xgetbv/)) say("newer than the baseline")
  if (wide && l == 3) say("AVX-512 in a kernel for AVX2")
  if (loop) {
    if ($0 ~ /ToldV4take|measureUpdate/) next
    if (m ~ /^call/ && text !~ /__stack_chk_fail/ && $0 !~ /__stack_chk_fail/) say("a call in a loop")
    if (m ~ /^jmp/ && $0 ~ /R_X86_64/) say("a call in a loop")
    if (m ~ /^v?(u?comis[sd]|(add|sub|mul|div|sqrt|max|min)ss|(mul|div|sqrt)sd)$/) say("lane by lane")
    register = l == 4 ? "%zmm" : l == 3 ? "%ymm" : "%xmm"
    if (index(text, register) && (copies || m ~ /^v?(cvt|(add|sub|mul|div|sqrt|max|min|and|andn|or|xor|cmp)p[sd]|p(add|sub|and|or|xor|sll|srl|tern|mov[sz]x|cmp))/)) vector[f] = 1
  }
}
END {
  for (f in loops) {
    $0 = ""
    if (!(f in vector)) say("no vector arithmetic")
  }
  if (count[0] == 0 || count[3] == 0 || count[4] == 0) { print "isa: no loops found"; bad = 1 }
  if (!bad) print "isa: ok, loops: " count[0] " baseline, " count[3] " AVX2, " count[4] " AVX-512"
  exit bad
}
' "$work/sections" "$work/symbols" "$work/relocations" "$work/code"
