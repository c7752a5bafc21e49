import CShims

/// The sum of magnitudes of elements, in Float64, and the largest. The largest is found among bit
/// patterns, where a NaN is larger than infinity.
struct Sizes<T: Scalar> {
  var sum = LaneSums()
  var largest = T.Lanes.zero

  @inline(__always)
  mutating func add(_ x: T.Lanes, at i: Int) {
    largest = T.larger(largest, T.magnitudes(x))
    T.widen(x) { sum.add(ravine_magnitude($0), at: i, group: $1) }
  }

  @inline(__always)
  func store(_ out: UnsafeMutablePointer<Double>) {
    out[0] = sum.total
    var most = Double.Lanes.zero
    T.widen(largest) { x, _ in most = Double.larger(x, most) }
    var bits: UInt64 = 0
    var k = 0
    while k < Double.Lanes.scalarCount {
      let own = most[k].bitPattern
      if own > bits { bits = own }
      k &+= 1
    }
    out[1] = Double(bitPattern: bits)
  }
}

/// The sizes of a block.
@inline(never)
func measureSizes<T: Scalar>(
  _: T.Type, _ x: UnsafeRawPointer?, _ count: Int, _ out: UnsafeMutablePointer<Double>?
) {
  let p = x.unsafelyUnwrapped.assumingMemoryBound(to: T.self)
  let line = T.line
  var sizes = Sizes<T>()
  var i = 0
  while i < count {
    ravine_prefetch(p + (i &+ Int(RAVINE_BLOCK)))
    let next = i &+ line
    repeat {
      sizes.add(loadLanes(p + i), at: i)
      i &+= T.Lanes.scalarCount
    } while T.goesOn(i, next)
  }
  sizes.store(out.unsafelyUnwrapped)
}

/// One of the two for each block; a NaN counts as infinity, so that it is not lost.
@inline(never)
func measureSize<T: Scalar>(
  _: T.Type, _ which: Int, _ x: UnsafeRawPointer?, _ blocks: Int, _ count: Int,
  _ out: UnsafeMutablePointer<Double>?
) {
  let out = out.unsafelyUnwrapped
  var sizes: InlineArray<2, Double> = [0, 0]
  var b = 0
  while b < blocks {
    let block = x.unsafelyUnwrapped + b &* Int(RAVINE_BLOCK) &* MemoryLayout<T>.size
    withUnsafeMutableBytes(of: &sizes) {
      measureSizes(T.self, block, count, $0.baseAddress?.assumingMemoryBound(to: Double.self))
    }
    out[b] = which == 1 && !(sizes[1] < .infinity) ? .infinity : sizes[which]
    b &+= 1
  }
}

/// What a monitor wants to know of a block of a tensor and its update, as sums in Float64:
///
/// 0 squares of the parameters before; 1 products of gradient and update; 2 magnitudes of the update,
/// and 3 of what rounding kept from being seen; 4 squares of the mean of gradients; 5 means of their
/// squares; 6 elements that have had a gradient, and 7 those of them where eps dominates.
///
/// An update of Float that changes nothing cannot be told by the parameters: `hidden`, a share of the
/// parameter, stands for it where there is a gradient.
@inline(never)
func inspect<T: Scalar>(_: T.Type, _ call: UnsafePointer<ravine_inspect_call>) {
  let g = call.pointee.g.assumingMemoryBound(to: T.self)
  let p = call.pointee.p.assumingMemoryBound(to: T.self)
  let out = call.pointee.out.assumingMemoryBound(to: T.self)
  let kept = call.pointee.kept.assumingMemoryBound(to: T.self)
  let m = call.pointee.m.assumingMemoryBound(to: T.self)
  let v = call.pointee.v.assumingMemoryBound(to: T.self)
  let floor = T.splat(T(call.pointee.floor)), hidden = Double.splat(call.pointee.hidden)
  let zero = Double.Lanes.zero
  let count = call.pointee.count, valid = call.pointee.valid
  var weights = LaneSums(), products = LaneSums(), updates = LaneSums(), lost = LaneSums()
  var means = LaneSums(), squares = LaneSums()
  var live = T.Lanes.zero, dominated = T.Lanes.zero
  var i = 0
  while i < count {
    let end = i &+ T.Lanes.scalarCount
    // Whether any of them stays as it is: seldom, and only then what follows from it is worked out.
    let stays = T.anyEqual(loadLanes(kept + i), loadLanes(p + i))
    let lives = T.marks(loadLanes(g + i), loadLanes(v + i), valid: valid &- i)
    live += lives
    dominated += choose(floor, greaterThan: loadLanes(v + i), lives, else: T.Lanes.zero)
    repeat {
      var old = T.doubles(p + i), new = T.doubles(out + i), gradient = T.doubles(g + i)
      var mean = T.doubles(m + i), square = T.doubles(v + i)
      let rest = valid &- i
      // A branch, since only the last lanes of a tensor are ever padding.
      if rest < Double.Lanes.scalarCount {
        old = Double.first(rest, of: old)
        new = Double.first(rest, of: new)
        gradient = Double.first(rest, of: gradient)
        mean = Double.first(rest, of: mean)
        square = Double.first(rest, of: square)
      }
      let update = old - new
      var size = ravine_magnitude(update)
      if stays {
        let same = T.doubles(kept + i)
        let unseen = choose(
          gradient, equalTo: zero, zero,
          else: choose(same, equalTo: old, hidden * ravine_magnitude(old), else: zero))
        size = maximum(unseen, size)
        lost.add(choose(same, equalTo: old, size, else: zero), at: i)
      }
      weights.addSquares(T.self, widened: old, at: i)
      products.add(gradient * update, at: i)
      updates.add(size, at: i)
      means.addSquares(T.self, widened: mean, at: i)
      squares.add(square, at: i)
      i &+= Double.Lanes.scalarCount
    } while i < end
  }
  let sums = call.pointee.sums.unsafelyUnwrapped
  sums[0] = weights.total
  sums[1] = products.total
  sums[2] = updates.total
  sums[3] = lost.total
  sums[4] = means.total
  sums[5] = squares.total
  sums[6] = T.total(live)
  sums[7] = T.total(dominated)
}

extension Scalar {
  /// 1 for the first `valid` elements that have a gradient or the mean of its squares; 0 for the rest.
  @inline(__always)
  fileprivate static func marks(_ g: Lanes, _ v: Lanes, valid: Int) -> Lanes {
    let one = splat(1)
    let marks = choose(v, equalTo: .zero, choose(g, equalTo: .zero, .zero, else: one), else: one)
    return valid < Lanes.scalarCount ? first(valid, of: marks) : marks
  }

  /// The sum of whole numbers.
  @inline(__always)
  fileprivate static func total(_ x: Lanes) -> Double {
    var sum = LaneSums()
    widen(x) { sum.add($0, at: 0, group: $1) }
    return sum.total
  }
}

#if BASELINE
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
