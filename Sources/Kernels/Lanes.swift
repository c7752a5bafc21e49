import CShims

#if hasFeature(Embedded)
public typealias SIMDNumber = SIMDScalar & BinaryFloatingPoint
#else
public typealias SIMDNumber = SIMDScalar & BinaryFloatingPoint & Codable
#endif

/// A type that arithmetic is done in: Float, and Double for Double tensors.
public protocol Scalar: SIMDNumber {
  /// What is worked on at a time: 64 bytes, which are two registers of AVX2 or one of AVX-512; without
  /// AVX one register of 16 bytes.
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
  /// Whether a == b anywhere.
  static func anyEqual(_ a: Lanes, _ b: Lanes) -> Bool
  /// The first `valid` lanes, with 0 in place of the rest.
  static func first(_ valid: Int, of x: Lanes) -> Lanes
  /// The first `valid` lanes of x, and the rest of y.
  static func splice(_ x: Lanes, first valid: Int, then y: Lanes) -> Lanes
  /// Hands over the lanes as Doubles: of Float in two groups, 0 and 1.
  static func widen(_ x: Lanes, _ body: (Double.Lanes, Int) -> Void)
  /// The sum, and the square of lanes that were widened.
  static func addSquares(_ sum: Double.Lanes, _ x: Double.Lanes) -> Double.Lanes
  /// The magnitudes.
  static func magnitudes(_ x: Lanes) -> Lanes
  /// The larger of each pair of magnitudes; a NaN is larger than all.
  static func larger(_ a: Lanes, _ b: Lanes) -> Lanes
  /// As many in memory as a group of Doubles has.
  static func doubles(_ p: UnsafePointer<Self>) -> Double.Lanes
}

extension Float: Scalar {
  #if BASELINE
  public typealias Lanes = SIMD4<Float>
  #else
  public typealias Lanes = SIMD16<Float>
  #endif
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
  public static func anyEqual(_ a: Lanes, _ b: Lanes) -> Bool { ravine_any_equal_f32(a, b) != 0 }
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
  public static func widen(_ x: Lanes, _ body: (Double.Lanes, Int) -> Void) {
    let y = ravine_widen(x)
    body(y.lowHalf, 0)
    body(y.highHalf, 1)
  }
  @inline(__always)
  public static func addSquares(_ sum: Double.Lanes, _ x: Double.Lanes) -> Double.Lanes {
    ravine_add_square(sum, x)
  }
  @inline(__always)
  public static func magnitudes(_ x: Lanes) -> Lanes { ravine_magnitude_f32(x) }
  @inline(__always)
  public static func larger(_ a: Lanes, _ b: Lanes) -> Lanes { ravine_larger_f32(a, b) }
  @inline(__always)
  public static func doubles(_ p: UnsafePointer<Self>) -> Double.Lanes {
    ravine_widen_half(UnsafeRawPointer(p).loadUnaligned(as: ravine_half.self))
  }
}

extension Double: Scalar {
  #if BASELINE
  public typealias Lanes = SIMD2<Double>
  #else
  public typealias Lanes = SIMD8<Double>
  #endif
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
  public static func anyEqual(_ a: Lanes, _ b: Lanes) -> Bool { ravine_any_equal_f64(a, b) != 0 }
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
  public static func widen(_ x: Lanes, _ body: (Double.Lanes, Int) -> Void) { body(x, 0) }
  @inline(__always)
  public static func addSquares(_ sum: Double.Lanes, _ x: Double.Lanes) -> Double.Lanes {
    sum + x * x
  }
  @inline(__always)
  public static func magnitudes(_ x: Lanes) -> Lanes { ravine_magnitude(x) }
  @inline(__always)
  public static func larger(_ a: Lanes, _ b: Lanes) -> Lanes { ravine_larger_f64(a, b) }
  @inline(__always)
  public static func doubles(_ p: UnsafePointer<Self>) -> Double.Lanes { loadLanes(p) }
}

// A line of 64 bytes, which memory is asked for at a time: one group of lanes, at the baseline four.
extension Scalar {
  @inline(__always)
  static var line: Int {
    #if BASELINE
    return ravine_unknown(64 / MemoryLayout<Self>.size)
    #else
    return Lanes.scalarCount
    #endif
  }

  /// Whether element i, the first behind a group, is still of the line that ends at `end`.
  @inline(__always)
  static func goesOn(_ i: Int, _ end: Int) -> Bool {
    #if BASELINE
    return i < end
    #else
    return false
    #endif
  }
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

/// Eight sums of what comes in order: element i goes to sum i mod 8, so that the width of lanes does not
/// show. At the baseline they are four groups of lanes, which stay in memory: a step that is not asked to
/// add holds no register for them.
struct LaneSums {
  #if BASELINE
  private var lanes: InlineArray<4, Double.Lanes> = [.zero, .zero, .zero, .zero]
  #else
  private var lanes = Double.Lanes.zero
  #endif

  /// Adds elements i and on, or those in the group behind.
  @inline(__always)
  mutating func add(_ x: Double.Lanes, at i: Int, group: Int = 0) {
    #if BASELINE
    lanes[i &>> 1 & 3 &+ group] += x
    #else
    lanes += x
    #endif
  }

  /// Adds the first `valid` lanes of elements i and on: the rest is padding, and may hold anything.
  @inline(__always)
  mutating func add<T: Scalar>(_: T.Type, _ x: T.Lanes, valid: Int, at i: Int) {
    T.widen(T.first(valid, of: x)) { add($0, at: i, group: $1) }
  }

  /// The squares likewise.
  @inline(__always)
  mutating func addSquares<T: Scalar>(_: T.Type, _ x: T.Lanes, valid: Int, at i: Int) {
    addSquares(T.self, T.first(valid, of: x), at: i)
  }

  @inline(__always)
  mutating func addSquares<T: Scalar>(_: T.Type, _ x: T.Lanes, at i: Int) {
    T.widen(x) { addSquares(T.self, widened: $0, at: i, group: $1) }
  }

  @inline(__always)
  mutating func addSquares<T: Scalar>(
    _: T.Type, widened x: Double.Lanes, at i: Int, group: Int = 0
  ) {
    #if BASELINE
    let k = i &>> 1 & 3 &+ group
    lanes[k] = T.addSquares(lanes[k], x)
    #else
    lanes = T.addSquares(lanes, x)
    #endif
  }

  /// One order of addition for every machine.
  @inline(__always)
  var total: Double {
    #if BASELINE
    let b = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])
    #else
    let a = lanes.lowHalf + lanes.highHalf
    let b = a.lowHalf + a.highHalf
    #endif
    return b.x + b.y
  }
}
