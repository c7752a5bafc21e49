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
