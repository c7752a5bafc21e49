import CShims

/// A type that arithmetic is done in: Float, and Double for Double tensors.
public protocol Scalar: SIMDScalar, BinaryFloatingPoint where SIMDMaskScalar: FixedWidthInteger & SignedInteger {
  static func squareRoots(_ x: SIMD16<Self>) -> SIMD16<Self>
  static func widen(_ x: SIMD16<Self>) -> SIMD16<Double>
}

extension Float: Scalar {
  @inline(__always)
  public static func squareRoots(_ x: SIMD16<Float>) -> SIMD16<Float> { ravine_sqrt_f32(x) }
  @inline(__always)
  public static func widen(_ x: SIMD16<Float>) -> SIMD16<Double> { ravine_widen(x) }
}

extension Double: Scalar {
  @inline(__always)
  public static func squareRoots(_ x: SIMD16<Double>) -> SIMD16<Double> { ravine_sqrt_f64(x) }
  @inline(__always)
  public static func widen(_ x: SIMD16<Double>) -> SIMD16<Double> { x }
}

/// Sixteen elements at a time on every machine: four SSE registers, two AVX2, one AVX-512.
let group = 16

@inline(__always)
func loadLanes<T: Scalar>(_ p: UnsafePointer<T>) -> SIMD16<T> {
  UnsafeRawPointer(p).loadUnaligned(as: SIMD16<T>.self)
}

@inline(__always)
func storeLanes<T: Scalar>(_ x: SIMD16<T>, _ p: UnsafeMutablePointer<T>) {
  UnsafeMutableRawPointer(p).storeBytes(of: x, as: SIMD16<T>.self)
}

@inline(__always)
func squareRoot<T: Scalar>(_ x: SIMD16<T>) -> SIMD16<T> { T.squareRoots(x) }

/// 1, 0 or -1, and 0 for NaN.
@inline(__always)
func sign<T: Scalar>(_ x: SIMD16<T>) -> SIMD16<T> {
  SIMD16<T>.zero.replacing(with: 1, where: x .> 0).replacing(with: -1, where: x .< 0)
}

@inline(__always)
func magnitude(_ x: SIMD16<Double>) -> SIMD16<Double> { ravine_magnitude(x) }

/// The greater of each pair, by comparison; a NaN in `a` is lost, one in `b` stays.
@inline(__always)
func maximum<T: Scalar>(_ a: SIMD16<T>, _ b: SIMD16<T>) -> SIMD16<T> {
  b.replacing(with: a, where: a .> b)
}

/// One order of addition for every machine.
@inline(__always)
func total(_ x: SIMD8<Double>) -> Double {
  let a = x.lowHalf + x.highHalf
  let b = a.lowHalf + a.highHalf
  return b.x + b.y
}

/// Squares in Float64: those of any Float are exact.
@inline(__always)
func squares<T: Scalar>(_ x: SIMD16<T>) -> SIMD8<Double> {
  let y = T.widen(x)
  let z = y * y
  return z.lowHalf + z.highHalf
}

/// The same of the first `valid` lanes only: the rest is padding, and may hold anything.
@inline(__always)
func squares<T: Scalar>(_ x: SIMD16<T>, valid: Int) -> SIMD8<Double> {
  guard valid < group else { return squares(x) }
  var y = x
  for k in valid..<group { y[k] = 0 }
  return squares(y)
}
