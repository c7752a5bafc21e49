#if BASELINE
import CShims

// What a monitor finds among the bits of numbers. There is one of each for all instruction sets.

/// The place of the largest magnitude among finite elements of a type of so many bytes, the first of them;
/// `infinity` is that number's bits. -1: none is finite.
@inline(never)
public func findLargest(
  _ x: UnsafeRawPointer, bytes: Int, _ count: Int, infinity: UInt64
) -> Int {
  switch bytes {
  case 2: find(x.assumingMemoryBound(to: Int16.self), count, Int16(infinity))
  case 4: find(x.assumingMemoryBound(to: Int32.self), count, Int32(infinity))
  default: find(x.assumingMemoryBound(to: Int64.self), count, Int64(infinity))
  }
}

/// How large it is, without a comparison but that of max, and then where.
@inline(__always)
private func find<Bits: FixedWidthInteger & SignedInteger>(
  _ x: UnsafePointer<Bits>, _ count: Int, _ infinity: Bits
) -> Int {
  var most: Bits = -1
  for i in 0..<count {
    let size = x[i] & Bits.max
    // -1 for what is not finite.
    most = max(most, size | ((infinity &- 1 &- size) &>> Bits(Bits.bitWidth - 1)))
  }
  guard most >= 0 else { return -1 }
  var i = 0
  while x[i] & Bits.max != most { i &+= 1 }
  return i
}

/// Marks the elements that are not 0 with 1, of whatever type has so many bytes. Without a comparison, of
/// which the compiler makes branches.
@inline(never)
public func markNonzero(
  _ x: UnsafeRawPointer, bytes: Int, _ count: Int, _ out: UnsafeMutablePointer<UInt8>
) {
  switch bytes {
  case 2: mark(x.assumingMemoryBound(to: UInt16.self), count, out)
  case 4: mark(x.assumingMemoryBound(to: UInt32.self), count, out)
  default: mark(x.assumingMemoryBound(to: UInt64.self), count, out)
  }
}

@inline(__always)
private func mark<Bits: FixedWidthInteger & UnsignedInteger>(
  _ x: UnsafePointer<Bits>, _ count: Int, _ out: UnsafeMutablePointer<UInt8>
) {
  for i in 0..<count {
    let magnitude = x[i] &<< 1
    out[i] = UInt8(truncatingIfNeeded: (magnitude | (0 &- magnitude)) &>> Bits(Bits.bitWidth - 1))
  }
}

/// Counts the steps in which units were 0 one after the other; `fired` is 1 for those that were not.
@inline(never)
public func countQuiet(
  _ fired: UnsafePointer<UInt8>, _ quiet: UnsafeMutablePointer<UInt32>, _ count: Int
) {
  for u in 0..<count { quiet[u] = (quiet[u] &+ 1) & (UInt32(fired[u]) &- 1) }
}

/// Counts the elements of a block by the magnitude that they have: 256 exponents, of which the first is
/// that of 0 and what is smaller than a normal number, the last that of what is not finite. Adds them
/// up as bins of Statistics; gives how many are 0, and how many of the rest are below `least`, the
/// exponent of the smallest normal number of the type that they are stored in.
///
/// Four tables in turn, since an addition to the same place as the last would wait for it; 256 places
/// each for numbers of either sign.
@inline(never)
public func countMagnitudes(
  _ x: UnsafeRawPointer, wide: Bool, _ count: Int, least: Int,
  _ tables: UnsafeMutablePointer<UInt16>, _ bins: UnsafeMutablePointer<UInt16>
) -> (zeros: Int, subnormals: Int) {
  tables.update(repeating: 0, count: Int(RAVINE_COUNTERS))
  // The upper 16 bits hold sign and exponent.
  let upper = x.assumingMemoryBound(to: UInt16.self)
  if wide {
    tally(count, tables) {
      let exponent = Int(upper[4 &* $0 &+ 3] >> 4) & 2047
      return exponent == 0 ? 0 : exponent == 2047 ? 255 : min(254, max(1, exponent - 896))
    }
  } else {
    tally(count, tables) { Int(upper[2 &* $0 &+ 1] >> 7) }
  }
  for k in 0..<256 {
    var sum = tables[k]
    for t in 1..<8 { sum &+= tables[256 &* t &+ k] }
    tables[k] = sum
  }
  var zeros = 0
  if tables[0] > 0 {
    zeros =
      wide
      ? countZeros(x.assumingMemoryBound(to: UInt64.self), count)
      : countZeros(x.assumingMemoryBound(to: UInt32.self), count)
  }
  tables[0] &-= UInt16(truncatingIfNeeded: zeros)
  var below = 0
  for k in 0..<least { below += Int(tables[k]) }
  // Two exponents to a bin, from 63 on; those at the ends have the rest.
  for b in 0..<64 { bins[b] &+= tables[63 &+ 2 &* b] &+ tables[64 &+ 2 &* b] }
  for k in 0..<63 { bins[0] &+= tables[k] }
  for k in 191..<255 { bins[63] &+= tables[k] }
  return (zeros, below)
}

/// Adds 1 at the place of each element, in one table after the other.
@inline(__always)
private func tally(_ count: Int, _ tables: UnsafeMutablePointer<UInt16>, _ place: (Int) -> Int) {
  var i = 0
  while i &+ 4 <= count {
    tables[place(i)] &+= 1
    tables[512 &+ place(i &+ 1)] &+= 1
    tables[1024 &+ place(i &+ 2)] &+= 1
    tables[1536 &+ place(i &+ 3)] &+= 1
    i &+= 4
  }
  while i < count {
    tables[place(i)] &+= 1
    i &+= 1
  }
}

private func countZeros<Bits: FixedWidthInteger>(_ x: UnsafePointer<Bits>, _ count: Int) -> Int {
  var zeros: Bits = 0
  for i in 0..<count { zeros &+= x[i] << 1 == 0 ? 1 : 0 }
  return Int(zeros)
}
#endif
