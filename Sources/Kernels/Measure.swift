import CShims

/// Something that is added up, or compared, over a gradient.
protocol Fold {
  static func lanes(_ x: SIMD8<Double>) -> SIMD8<Double>
  static func join(_ a: SIMD8<Double>, _ b: SIMD8<Double>) -> SIMD8<Double>
  static func join(_ a: Double, _ b: Double) -> Double
}

extension Fold {
  @inline(__always)
  static func join(_ a: SIMD8<Double>, _ b: SIMD8<Double>) -> SIMD8<Double> { a + b }
  @inline(__always)
  static func join(_ a: Double, _ b: Double) -> Double { a + b }
}

enum Squares: Fold {
  @inline(__always)
  static func lanes(_ x: SIMD8<Double>) -> SIMD8<Double> { x * x }
}

enum Nonfinite: Fold {
  /// x - x is 0, and NaN for NaN and infinity.
  @inline(__always)
  static func lanes(_ x: SIMD8<Double>) -> SIMD8<Double> {
    choose(x - x, equalTo: .zero, .zero, else: Double.splat(1))
  }
}

@inline(__always)
func fold<F: Fold, T: Scalar>(_: F.Type, _ acc: inout SIMD8<Double>, _ p: UnsafePointer<T>) {
  T.eachEight(loadLanes(p)) { acc = F.join(acc, F.lanes($0)) }
}

/// One order for every machine.
@inline(__always)
func finish<F: Fold>(_: F.Type, _ x: SIMD8<Double>) -> Double {
  F.join(
    F.join(F.join(x[0], x[4]), F.join(x[2], x[6])), F.join(F.join(x[1], x[5]), F.join(x[3], x[7])))
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
  let block = RAVINE_BLOCK
  var p = x.unsafelyUnwrapped.assumingMemoryBound(to: T.self)
  var b = 0
  while b &+ 4 <= blocks {
    var a0 = SIMD8<Double>.zero, a1 = a0, a2 = a0, a3 = a0
    let q1 = p + block, q2 = q1 + block, q3 = q2 + block
    var i = 0
    while i < count {
      ravine_prefetch(p + (i &+ 4 &* block))
      ravine_prefetch(q1 + (i &+ 4 &* block))
      ravine_prefetch(q2 + (i &+ 4 &* block))
      ravine_prefetch(q3 + (i &+ 4 &* block))
      fold(F.self, &a0, p + i)
      fold(F.self, &a1, q1 + i)
      fold(F.self, &a2, q2 + i)
      fold(F.self, &a3, q3 + i)
      i &+= T.Lanes.scalarCount
    }
    out[b] = finish(F.self, a0)
    out[b &+ 1] = finish(F.self, a1)
    out[b &+ 2] = finish(F.self, a2)
    out[b &+ 3] = finish(F.self, a3)
    b &+= 4
    p += 4 &* block
  }
  while b < blocks {
    var acc = SIMD8<Double>.zero
    var i = 0
    while i < count {
      fold(F.self, &acc, p + i)
      i &+= T.Lanes.scalarCount
    }
    out[b] = finish(F.self, acc)
    b &+= 1
    p += block
  }
}
