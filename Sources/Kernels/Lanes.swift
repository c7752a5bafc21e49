import CShims

/// A type that arithmetic is done in: Float, and Double for Double tensors.
public protocol Scalar: SIMDScalar, BinaryFloatingPoint {
  /// What is worked on at a time: 64 bytes on every machine, which are four SSE registers, two of
  /// AVX2, one of AVX-512.
  associatedtype Lanes: SIMD where Lanes.Scalar == Self
  // Swift's own operators of lanes go one by one, and what the compiler makes of that is not always
  // whole again. These are single instructions.
  static func splat(_ x: Self) -> Lanes
  static func add(_ a: Lanes, _ b: Lanes) -> Lanes
  static func subtract(_ a: Lanes, _ b: Lanes) -> Lanes
  static func multiply(_ a: Lanes, _ b: Lanes) -> Lanes
  static func divide(_ a: Lanes, _ b: Lanes) -> Lanes
  static func squareRoots(_ x: Lanes) -> Lanes
  /// x where a > b, y elsewhere.
  static func choose(_ a: Lanes, greaterThan b: Lanes, _ x: Lanes, else y: Lanes) -> Lanes
  /// x where a == b, y elsewhere.
  static func choose(_ a: Lanes, equalTo b: Lanes, _ x: Lanes, else y: Lanes) -> Lanes
  /// The first `valid` lanes, with 0 in place of the rest.
  static func first(_ valid: Int, of x: Lanes) -> Lanes
  /// The first `valid` lanes of x, and the rest of y.
  static func splice(_ x: Lanes, first valid: Int, then y: Lanes) -> Lanes
  /// Hands over the lanes as Doubles, eight at a time.
  static func eachEight(_ x: Lanes, _ body: (SIMD8<Double>) -> Void)
  /// The magnitudes.
  static func magnitudes(_ x: Lanes) -> Lanes
  /// The larger of each pair of magnitudes; a NaN is larger than all.
  static func larger(_ a: Lanes, _ b: Lanes) -> Lanes
  /// Eight of them in memory, as Doubles.
  static func eight(_ p: UnsafePointer<Self>) -> SIMD8<Double>
}

extension Float: Scalar {
  public typealias Lanes = SIMD16<Float>
  @inline(__always)
  public static func splat(_ x: Self) -> Lanes { ravine_splat_f32(x) }
  @inline(__always)
  public static func add(_ a: Lanes, _ b: Lanes) -> Lanes { ravine_add_f32(a, b) }
  @inline(__always)
  public static func subtract(_ a: Lanes, _ b: Lanes) -> Lanes { ravine_subtract_f32(a, b) }
  @inline(__always)
  public static func multiply(_ a: Lanes, _ b: Lanes) -> Lanes { ravine_multiply_f32(a, b) }
  @inline(__always)
  public static func divide(_ a: Lanes, _ b: Lanes) -> Lanes { ravine_divide_f32(a, b) }
  @inline(__always)
  public static func squareRoots(_ x: Lanes) -> Lanes { ravine_sqrt_f32(x) }
  @inline(__always)
  public static func first(_ valid: Int, of x: Lanes) -> Lanes { ravine_first_f32(x, valid) }
  @inline(__always)
  public static func splice(_ x: Lanes, first valid: Int, then y: Lanes) -> Lanes {
    ravine_splice_f32(x, y, valid)
  }
  @inline(__always)
  public static func choose(_ a: Lanes, greaterThan b: Lanes, _ x: Lanes, else y: Lanes) -> Lanes {
    ravine_greater_f32(a, b, x, y)
  }
  @inline(__always)
  public static func choose(_ a: Lanes, equalTo b: Lanes, _ x: Lanes, else y: Lanes) -> Lanes {
    ravine_equal_f32(a, b, x, y)
  }
  @inline(__always)
  public static func eachEight(_ x: Lanes, _ body: (SIMD8<Double>) -> Void) {
    let y = ravine_widen(x)
    body(y.lowHalf)
    body(y.highHalf)
  }
  @inline(__always)
  public static func magnitudes(_ x: Lanes) -> Lanes { ravine_magnitude_f32(x) }
  @inline(__always)
  public static func larger(_ a: Lanes, _ b: Lanes) -> Lanes { ravine_larger_f32(a, b) }
  @inline(__always)
  public static func eight(_ p: UnsafePointer<Self>) -> SIMD8<Double> {
    ravine_widen_half(UnsafeRawPointer(p).loadUnaligned(as: SIMD8<Float>.self))
  }
}

extension Double: Scalar {
  public typealias Lanes = SIMD8<Double>
  @inline(__always)
  public static func splat(_ x: Self) -> Lanes { ravine_splat_f64(x) }
  @inline(__always)
  public static func add(_ a: Lanes, _ b: Lanes) -> Lanes { ravine_add_f64(a, b) }
  @inline(__always)
  public static func subtract(_ a: Lanes, _ b: Lanes) -> Lanes { ravine_subtract_f64(a, b) }
  @inline(__always)
  public static func multiply(_ a: Lanes, _ b: Lanes) -> Lanes { ravine_multiply_f64(a, b) }
  @inline(__always)
  public static func divide(_ a: Lanes, _ b: Lanes) -> Lanes { ravine_divide_f64(a, b) }
  @inline(__always)
  public static func squareRoots(_ x: Lanes) -> Lanes { ravine_sqrt_f64(x) }
  @inline(__always)
  public static func first(_ valid: Int, of x: Lanes) -> Lanes { ravine_first_f64(x, valid) }
  @inline(__always)
  public static func splice(_ x: Lanes, first valid: Int, then y: Lanes) -> Lanes {
    ravine_splice_f64(x, y, valid)
  }
  @inline(__always)
  public static func choose(_ a: Lanes, greaterThan b: Lanes, _ x: Lanes, else y: Lanes) -> Lanes {
    ravine_greater_f64(a, b, x, y)
  }
  @inline(__always)
  public static func choose(_ a: Lanes, equalTo b: Lanes, _ x: Lanes, else y: Lanes) -> Lanes {
    ravine_equal_f64(a, b, x, y)
  }
  @inline(__always)
  public static func eachEight(_ x: Lanes, _ body: (SIMD8<Double>) -> Void) { body(x) }
  @inline(__always)
  public static func magnitudes(_ x: Lanes) -> Lanes { ravine_magnitude(x) }
  @inline(__always)
  public static func larger(_ a: Lanes, _ b: Lanes) -> Lanes { ravine_larger_f64(a, b) }
  @inline(__always)
  public static func eight(_ p: UnsafePointer<Self>) -> SIMD8<Double> { loadLanes(p) }
}

@inline(__always)
func loadLanes<T: Scalar>(_ p: UnsafePointer<T>) -> T.Lanes {
  UnsafeRawPointer(p).loadUnaligned(as: T.Lanes.self)
}

@inline(__always)
func storeLanes<T: Scalar>(_ x: T.Lanes, _ p: UnsafeMutablePointer<T>) {
  UnsafeMutableRawPointer(p).storeBytes(of: x, as: T.Lanes.self)
}

// What a rule may use.

/// The protocol, where `Scalar` is SIMD's own.
public typealias LaneScalar = Scalar

extension SIMD where Scalar: LaneScalar, Scalar.Lanes == Self {
  @inline(__always)
  static func + (a: Self, b: Self) -> Self { Scalar.add(a, b) }
  @inline(__always)
  static func + (a: Self, b: Scalar) -> Self { Scalar.add(a, Scalar.splat(b)) }
  @inline(__always)
  static func + (a: Scalar, b: Self) -> Self { Scalar.add(Scalar.splat(a), b) }
  @inline(__always)
  static func - (a: Self, b: Self) -> Self { Scalar.subtract(a, b) }
  @inline(__always)
  static func - (a: Self, b: Scalar) -> Self { Scalar.subtract(a, Scalar.splat(b)) }
  @inline(__always)
  static func - (a: Scalar, b: Self) -> Self { Scalar.subtract(Scalar.splat(a), b) }
  @inline(__always)
  static func * (a: Self, b: Self) -> Self { Scalar.multiply(a, b) }
  @inline(__always)
  static func * (a: Self, b: Scalar) -> Self { Scalar.multiply(a, Scalar.splat(b)) }
  @inline(__always)
  static func * (a: Scalar, b: Self) -> Self { Scalar.multiply(Scalar.splat(a), b) }
  @inline(__always)
  static func / (a: Self, b: Self) -> Self { Scalar.divide(a, b) }
  @inline(__always)
  static func / (a: Self, b: Scalar) -> Self { Scalar.divide(a, Scalar.splat(b)) }
  @inline(__always)
  static func / (a: Scalar, b: Self) -> Self { Scalar.divide(Scalar.splat(a), b) }
  @inline(__always)
  static func += (a: inout Self, b: Self) { a = a + b }
  @inline(__always)
  static func -= (a: inout Self, b: Self) { a = a - b }
}

@inline(__always)
func squareRoot<L: SIMD>(_ x: L) -> L where L.Scalar: Scalar, L.Scalar.Lanes == L {
  L.Scalar.squareRoots(x)
}

/// x where a > b, y elsewhere; a NaN is not greater.
@inline(__always)
func choose<L: SIMD>(_ a: L, greaterThan b: L, _ x: L, else y: L) -> L
where L.Scalar: Scalar, L.Scalar.Lanes == L {
  L.Scalar.choose(a, greaterThan: b, x, else: y)
}

/// x where a == b, y elsewhere; a NaN is not equal.
@inline(__always)
func choose<L: SIMD>(_ a: L, equalTo b: L, _ x: L, else y: L) -> L
where L.Scalar: Scalar, L.Scalar.Lanes == L {
  L.Scalar.choose(a, equalTo: b, x, else: y)
}

/// 1, 0 or -1, and 0 for NaN.
@inline(__always)
func sign<L: SIMD>(_ x: L) -> L where L.Scalar: Scalar, L.Scalar.Lanes == L {
  let negative = choose(L.zero, greaterThan: x, L.Scalar.splat(-1), else: L.zero)
  return choose(x, greaterThan: L.zero, L.Scalar.splat(1), else: negative)
}

/// The greater of each pair, by comparison; a NaN in `a` is lost, one in `b` stays.
@inline(__always)
func maximum<L: SIMD>(_ a: L, _ b: L) -> L where L.Scalar: Scalar, L.Scalar.Lanes == L {
  choose(a, greaterThan: b, a, else: b)
}

// Sums in Float64: squares of any Float are exact there.

/// One order of addition for every machine.
@inline(__always)
func total(_ x: SIMD8<Double>) -> Double {
  let a = x.lowHalf + x.highHalf
  let b = a.lowHalf + a.highHalf
  return b.x + b.y
}

/// Adds the first `valid` lanes.
@inline(__always)
func addValues<T: Scalar>(_: T.Type, _ x: T.Lanes, valid: Int, to sum: inout SIMD8<Double>) {
  T.eachEight(T.first(valid, of: x)) { sum += $0 }
}

/// Adds the squares of the first `valid` lanes: the rest is padding, and may hold anything.
@inline(__always)
func addSquares<T: Scalar>(_: T.Type, _ x: T.Lanes, valid: Int, to sum: inout SIMD8<Double>) {
  addSquares(T.self, T.first(valid, of: x), to: &sum)
}

@inline(__always)
func addSquares<T: Scalar>(_: T.Type, _ x: T.Lanes, to sum: inout SIMD8<Double>) {
  T.eachEight(x) { sum += $0 * $0 }
}
