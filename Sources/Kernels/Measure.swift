import CShims

/// What is added up over a gradient.
protocol Fold {
  static func lanes(_ x: Double.Lanes) -> Double.Lanes
}

enum Squares: Fold {
  @inline(__always)
  static func lanes(_ x: Double.Lanes) -> Double.Lanes { x * x }
}

enum Nonfinite: Fold {
  /// x - x is 0, and NaN for NaN and infinity.
  @inline(__always)
  static func lanes(_ x: Double.Lanes) -> Double.Lanes {
    choose(x - x, equalTo: .zero, .zero, else: Double.splat(1))
  }
}

@inline(__always)
func fold<F: Fold, T: Scalar>(_: F.Type, _ sums: inout LaneSums, _ p: UnsafePointer<T>, _ i: Int) {
  T.widen(loadLanes(p + i)) { sums.add(F.lanes($0), at: i, group: $1) }
}

/// Measures each of `blocks` blocks of `count` elements. Whole blocks go four at a time: one lone
/// stream waits for the prefetcher, several do not. Each block has its own sum, so the number read
/// together does not show in the bytes.
@inline(never)
func measureBlocks<F: Fold, T: Scalar>(
  _: F.Type, _: T.Type, _ x: UnsafeRawPointer?, _ blocks: Int, _ count: Int,
  _ out: UnsafeMutablePointer<Double>?
) {
  let out = out.unsafelyUnwrapped
  let block = RAVINE_BLOCK, line = T.line
  var p = x.unsafelyUnwrapped.assumingMemoryBound(to: T.self)
  var b = 0
  while b &+ 4 <= blocks {
    var a0 = LaneSums(), a1 = LaneSums(), a2 = LaneSums(), a3 = LaneSums()
    let q1 = p + block, q2 = q1 + block, q3 = q2 + block
    var i = 0
    while i < count {
      ravine_prefetch(p + (i &+ 4 &* block))
      ravine_prefetch(q1 + (i &+ 4 &* block))
      ravine_prefetch(q2 + (i &+ 4 &* block))
      ravine_prefetch(q3 + (i &+ 4 &* block))
      let next = i &+ line
      repeat {
        fold(F.self, &a0, p, i)
        fold(F.self, &a1, q1, i)
        fold(F.self, &a2, q2, i)
        fold(F.self, &a3, q3, i)
        i &+= T.Lanes.scalarCount
      } while T.goesOn(i, next)
    }
    out[b] = a0.total
    out[b &+ 1] = a1.total
    out[b &+ 2] = a2.total
    out[b &+ 3] = a3.total
    b &+= 4
    p += 4 &* block
  }
  while b < blocks {
    var acc = LaneSums()
    var i = 0
    while i < count {
      fold(F.self, &acc, p, i)
      i &+= T.Lanes.scalarCount
    }
    out[b] = acc.total
    b &+= 1
    p += block
  }
}
