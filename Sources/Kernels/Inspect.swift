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
  let floor = Double.splat(call.pointee.floor), hidden = Double.splat(call.pointee.hidden)
  let one = Double.splat(1), zero = Double.Lanes.zero
  let count = call.pointee.count, valid = call.pointee.valid
  var weights = LaneSums(), products = LaneSums(), updates = LaneSums(), lost = LaneSums()
  var means = LaneSums(), squares = LaneSums(), live = LaneSums(), dominated = LaneSums()
  var i = 0
  while i < count {
    var old = T.doubles(p + i), new = T.doubles(out + i), gradient = T.doubles(g + i)
    var mean = T.doubles(m + i), square = T.doubles(v + i)
    let same = choose(T.doubles(kept + i), equalTo: old, one, else: zero)
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
    weights.add(old * old, at: i)
    products.add(gradient * update, at: i)
    let unseen = choose(gradient, equalTo: zero, zero, else: same * hidden * ravine_magnitude(old))
    let size = maximum(unseen, ravine_magnitude(update))
    updates.add(size, at: i)
    lost.add(same * size, at: i)
    means.add(mean * mean, at: i)
    squares.add(square, at: i)
    let lives = choose(
      square, equalTo: zero, choose(gradient, equalTo: zero, zero, else: one), else: one)
    live.add(lives, at: i)
    dominated.add(choose(floor, greaterThan: square, lives, else: zero), at: i)
    i &+= Double.Lanes.scalarCount
  }
  let sums = call.pointee.sums.unsafelyUnwrapped
  sums[0] = weights.total
  sums[1] = products.total
  sums[2] = updates.total
  sums[3] = lost.total
  sums[4] = means.total
  sums[5] = squares.total
  sums[6] = live.total
  sums[7] = dominated.total
}

#if BASELINE
/// The place of the largest magnitude among finite elements of a type of so many bytes, the first of them;
/// `infinity` is that number's bits. -1: none is finite.
@inline(never)
public func findLargest(
  _ x: UnsafeRawPointer, bytes: Int, _ count: Int, infinity: UInt64
) -> Int {
  switch bytes {
  case 2: find(x.assumingMemoryBound(to: UInt16.self), count, UInt16(infinity))
  case 4: find(x.assumingMemoryBound(to: UInt32.self), count, UInt32(infinity))
  default: find(x.assumingMemoryBound(to: UInt64.self), count, infinity)
  }
}

@inline(__always)
private func find<Bits: FixedWidthInteger>(
  _ x: UnsafePointer<Bits>, _ count: Int, _ infinity: Bits
) -> Int {
  var best = -1, least: Bits = 0
  for i in 0..<count {
    let size = x[i] & (Bits.max >> 1)
    if size >= least, size < infinity { (best, least) = (i, size &+ 1) }
  }
  return best
}

/// Marks the elements that are not 0, of whatever type has so many bytes.
@inline(never)
public func markNonzero(
  _ x: UnsafeRawPointer, bytes: Int, _ count: Int, _ out: UnsafeMutablePointer<UInt8>
) {
  switch bytes {
  case 2:
    let p = x.assumingMemoryBound(to: UInt16.self)
    for i in 0..<count { out[i] = p[i] << 1 != 0 ? 1 : 0 }
  case 4:
    let p = x.assumingMemoryBound(to: UInt32.self)
    for i in 0..<count { out[i] = p[i] << 1 != 0 ? 1 : 0 }
  default:
    let p = x.assumingMemoryBound(to: UInt64.self)
    for i in 0..<count { out[i] = p[i] << 1 != 0 ? 1 : 0 }
  }
}

/// Counts the steps in which units were 0 one after the other.
@inline(never)
public func countQuiet(
  _ fired: UnsafePointer<UInt8>, _ quiet: UnsafeMutablePointer<UInt32>, _ count: Int
) {
  for u in 0..<count { quiet[u] = fired[u] == 0 ? quiet[u] &+ 1 : 0 }
}

/// Counts the elements of a block by the magnitude that they have: 256 exponents, of which the first is
/// that of 0 and what is smaller than a normal number, the last that of what is not finite. Adds them
/// up as bins of Statistics; gives how many are 0, and how many of the rest are below `least`, the
/// exponent of the smallest normal number of the type that they are stored in.
///
/// Four tables in turn: an addition to the same place as the last would wait for it.
@inline(never)
public func countMagnitudes(
  _ x: UnsafeRawPointer, wide: Bool, _ count: Int, least: Int,
  _ tables: UnsafeMutablePointer<UInt16>, _ bins: UnsafeMutablePointer<UInt16>
) -> (zeros: Int, subnormals: Int) {
  var zeros = 0
  tables.update(repeating: 0, count: 1024)
  if wide {
    let p = x.assumingMemoryBound(to: UInt64.self)
    for i in 0..<count {
      let bits = p[i] & 0x7fff_ffff_ffff_ffff
      if bits == 0 { zeros += 1 }
      let exponent = Int(bits >> 52)
      let place = exponent == 0 ? 0 : exponent == 2047 ? 255 : min(254, max(1, exponent - 896))
      tables[256 * (i & 3) + place] &+= 1
    }
  } else {
    let p = x.assumingMemoryBound(to: UInt32.self)
    for i in 0..<count {
      let bits = p[i] & 0x7fff_ffff
      if bits == 0 { zeros += 1 }
      tables[256 * (i & 3) + Int(bits >> 23)] &+= 1
    }
  }
  for k in 0..<256 { tables[k] &+= tables[256 + k] &+ tables[512 + k] &+ tables[768 + k] }
  var below = 0
  for k in 0..<least { below += Int(tables[k]) }
  tables[0] &-= UInt16(truncatingIfNeeded: zeros)
  for k in 0..<255 where tables[k] > 0 { bins[min(63, max(0, (k - 63) >> 1))] &+= tables[k] }
  return (zeros, below - zeros)
}
#endif
