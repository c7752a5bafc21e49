/// `exp`, `log`, `pow`, `tanh`, `sin` and `cos` that give the same bytes on every machine.
///
/// The system's libm differs from one version and one processor to the next, so these use
/// nothing but IEEE + - * / on Double, without fused multiply-add. The leading terms are carried
/// in double-double, which leaves the last rounding as nearly the only error: 0.56 ulp at most.
/// Special values are those of C99. The series are plain Taylor series, so that a
/// coefficient can be checked by looking at it.
public enum Math {
  /// e to the power x.
  public static func exp(_ x: Double) -> Double {
    if x != x { return x }
    return exponential(DoubleDouble(x))
  }

  /// The natural logarithm: -inf at zero, NaN below it.
  public static func log(_ x: Double) -> Double {
    if x == 0 { return -.infinity }
    if x < 0 { return .nan }
    if !(x < .infinity) { return x }
    return logarithm(x, wide: false).rounded
  }

  /// x to the power y; 1 whenever y is 0 or x is 1, even where the other one is NaN.
  public static func pow(_ x: Double, _ y: Double) -> Double {
    if y == 0 || x == 1 { return 1 }
    if x != x || y != y { return x + y }
    let (integer, odd) = parity(y)
    let base = x.magnitude
    if x < 0 && !integer && base < .infinity { return .nan }
    let magnitude: Double
    if base == 1 {
      magnitude = 1  // x is -1, also with an infinite y
    } else if base == 0 || base == .infinity || y.magnitude == .infinity {
      magnitude = (base > 1) == (y > 0) ? .infinity : 0
    } else {
      let logOfBase = logarithm(base, wide: true)
      let estimate = y * logOfBase.high
      // Decided here already where the product could overflow within double-double.
      magnitude =
        estimate > 710 ? .infinity : estimate < -746 ? 0 : exponential(logOfBase * DoubleDouble(y))
    }
    return x.sign == .minus && odd ? -magnitude : magnitude
  }

  /// Whether y is an integer, and an odd one: the sign of a power of a negative base.
  @inline(__always)
  private static func parity(_ y: Double) -> (integer: Bool, odd: Bool) {
    // From 2^53 on every number is an even integer; C99 says the same of infinity.
    if y.magnitude >= 0x1p53 { return (true, false) }
    let nearest = Int64(y)
    let integer = Double(nearest) == y
    return (integer, integer && nearest & 1 == 1)
  }

  /// The hyperbolic tangent.
  public static func tanh(_ x: Double) -> Double {
    let size = x.magnitude
    // Below 2^-28, x - x^3/3 rounds to x (give or take 0.05 ulp); NaN passes here too.
    if !(size >= 0x1p-28) { return x }
    // 1 - tanh(20) is 8.5e-18, less than half of the 1.1e-16 between 1 and its neighbour below.
    if size > 20 { return x < 0 ? -1 : 1 }
    // (exp(2x) - 1) / (exp(2x) + 1), with exp(2x) = scale (1 + part).
    let (part, exponent) = reducedExponential(DoubleDouble(2 * size))
    let scale = powerOfTwo(exponent)
    let numerator =
      DoubleDouble(sum: scale, -1) + DoubleDouble(part.high * scale, part.low * scale)
    let result = (numerator / (numerator + DoubleDouble(2))).rounded
    return x < 0 ? -result : result
  }

  // MARK: Exponential

  /// exp(x) rounded once, with overflow to infinity and gradual underflow.
  @inline(__always)
  private static func exponential(_ x: DoubleDouble) -> Double {
    // log of the largest Double is 709.78; half of the smallest one is exp(-745.13).
    if x.high > 710 { return .infinity }
    if x.high < -746 { return 0 }
    let (part, exponent) = reducedExponential(x)
    let value = DoubleDouble(sum: 1, part.high) + DoubleDouble(part.low)  // 0.70 to 1.42
    // In two factors, since 2^1024 is not a Double; 2 * value >= 1.4 keeps the product normal.
    if exponent > -1022 { return value.rounded * 2 * powerOfTwo(exponent - 1) }
    // Subnormal: count in units of 2^-1074, the smallest one, and round that count half to even.
    let unit = powerOfTwo(exponent + 1074)
    let scaled = value.high * unit
    var count = Int64(scaled)
    let rest = (scaled - Double(count)) + value.low * unit
    if rest > 0.5 || (rest == 0.5 && count & 1 == 1) { count &+= 1 }
    return Double(bitPattern: UInt64(bitPattern: count))
  }

  /// exp(x) as 2^exponent (1 + part), for |x| < 750.
  @inline(__always)
  private static func reducedExponential(_ x: DoubleDouble) -> (part: DoubleDouble, exponent: Int) {
    // 1.4427 is 1/log(2). Adding 1.5 * 2^52 rounds to the nearest integer, left in the low bits.
    let shifted = x.high * 1.4426950408889634 + 0x1.8p52
    let exponent = Int(Int32(truncatingIfNeeded: Int64(bitPattern: shifted.bitPattern)))
    let r = x + logOfTwo * DoubleDouble(-(shifted - 0x1.8p52))  // at most 0.35 in size
    // exp(r) - 1 = r + r^2/2 + r^3 tail: the tail matters little enough for plain Double.
    let square = r * r
    var tail = 1.0 / 1307674368000.0  // 1/15!, and so on down to 1/3!
    tail = tail * r.high + 1.0 / 87178291200.0
    tail = tail * r.high + 1.0 / 6227020800.0
    tail = tail * r.high + 1.0 / 479001600.0
    tail = tail * r.high + 1.0 / 39916800.0
    tail = tail * r.high + 1.0 / 3628800.0
    tail = tail * r.high + 1.0 / 362880.0
    tail = tail * r.high + 1.0 / 40320.0
    tail = tail * r.high + 1.0 / 5040.0
    tail = tail * r.high + 1.0 / 720.0
    tail = tail * r.high + 1.0 / 120.0
    tail = tail * r.high + 1.0 / 24.0
    tail = tail * r.high + 1.0 / 6.0
    let half = DoubleDouble(0.5 * square.high, 0.5 * square.low)
    return (r + half + DoubleDouble(tail * (square.high * r.high)), exponent)
  }

  // MARK: Logarithm

  /// log(x) for finite x > 0, to about 58 bits or, for `pow`, to 68.
  @inline(__always)
  private static func logarithm(_ x: Double, wide: Bool) -> DoubleDouble {
    // x = 2^exponent m with m between sqrt(1/2) and sqrt(2); subnormals are made normal first.
    let subnormal = x < Double.leastNormalMagnitude
    let bits = (subnormal ? x * 0x1p54 : x).bitPattern
    let shift = Int64(bitPattern: bits &- 0x3FE6_A09E_667F_3BCD) &>> 52  // bits of sqrt(1/2)
    let m = Double(bitPattern: bits &- UInt64(bitPattern: shift) &<< 52)
    let exponent = Double(subnormal ? shift &- 54 : shift)
    // log(m) = 2 atanh(s) = 2s (1 + z/3 + z^2/5 + z^3 tail) with s = (m-1)/(m+1), z = s^2 < 0.03.
    let s = DoubleDouble(m - 1) / DoubleDouble(sum: m, 1)
    let twice = DoubleDouble(2 * s.high, 2 * s.low)
    let square = s * s
    let z = square.high
    var tail = 1.0 / 29.0  // of the series 1/(2n + 1)
    tail = tail * z + 1.0 / 27.0
    tail = tail * z + 1.0 / 25.0
    tail = tail * z + 1.0 / 23.0
    tail = tail * z + 1.0 / 21.0
    tail = tail * z + 1.0 / 19.0
    tail = tail * z + 1.0 / 17.0
    tail = tail * z + 1.0 / 15.0
    tail = tail * z + 1.0 / 13.0
    tail = tail * z + 1.0 / 11.0
    tail = tail * z + 1.0 / 9.0
    tail = tail * z + 1.0 / 7.0
    let logOfM: DoubleDouble
    if wide {
      // 1/3 and 1/5, each with what its Double leaves out.
      let third = DoubleDouble(0x1.5555555555555p-2, 0x1.5555555555555p-56)
      let fifth = DoubleDouble(0x1.999999999999ap-3, -0x1.999999999999ap-57)
      let series = square * (third + square * (fifth + DoubleDouble(tail * z)))
      logOfM = twice + twice * series
    } else {
      let series = z * (1.0 / 3.0 + z * (1.0 / 5.0 + z * tail))  // at most 0.01
      logOfM = twice + DoubleDouble(twice.high * series)
    }
    return logOfTwo * DoubleDouble(exponent) + logOfM
  }

  /// log(2), the first and the second 53 bits.
  private static var logOfTwo: DoubleDouble {
    @inline(__always) get { DoubleDouble(0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56) }
  }

  /// 2^n for n from -1022 to 1023.
  @inline(__always)
  static func powerOfTwo(_ n: Int) -> Double {
    Double(bitPattern: UInt64(truncatingIfNeeded: n &+ 1023) &<< 52)
  }
}

/// An unevaluated sum of two Doubles, the second at most half an ulp of the first: 106 bits.
/// The algorithms are Dekker's and Knuth's; every operation is good to some 2^-102.
struct DoubleDouble {
  var high: Double
  var low: Double

  @inline(__always)
  init(_ high: Double, _ low: Double = 0) {
    self.high = high
    self.low = low
  }

  /// a + b without error (Knuth's two-sum).
  @inline(__always)
  init(sum a: Double, _ b: Double) {
    high = a + b
    let partOfB = high - a
    low = (a - (high - partOfB)) + (b - partOfB)
  }

  /// a + b without error, for |a| >= |b| (Dekker's fast two-sum).
  @inline(__always)
  init(ordered a: Double, _ b: Double) {
    high = a + b
    low = b - (high - a)
  }

  /// a * b without error while nothing overflows or underflows (Dekker's two-product).
  @inline(__always)
  init(product a: Double, _ b: Double) {
    let (a1, b1) = (DoubleDouble.leading(a), DoubleDouble.leading(b))
    let (a2, b2) = (a - a1, b - b1)
    high = a * b
    low = ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2
  }

  /// The nearest number of 26 significant bits. Rounded in the bit pattern, since Dekker's way,
  /// a multiplication by 2^27 + 1, overflows from 2^996 on.
  @inline(__always)
  private static func leading(_ x: Double) -> Double {
    Double(bitPattern: (x.bitPattern &+ 0x400_0000) & ~0x7FF_FFFF)
  }

  /// The one Double nearest to the sum.
  var rounded: Double {
    @inline(__always) get { high + low }
  }

  @inline(__always)
  static func + (a: DoubleDouble, b: DoubleDouble) -> DoubleDouble {
    let sum = DoubleDouble(sum: a.high, b.high)
    return DoubleDouble(ordered: sum.high, sum.low + (a.low + b.low))
  }

  @inline(__always)
  static func * (a: DoubleDouble, b: DoubleDouble) -> DoubleDouble {
    let product = DoubleDouble(product: a.high, b.high)
    return DoubleDouble(ordered: product.high, product.low + (a.high * b.low + a.low * b.high))
  }

  @inline(__always)
  static func / (a: DoubleDouble, b: DoubleDouble) -> DoubleDouble {
    let quotient = a.high / b.high
    let back = DoubleDouble(product: quotient, b.high)
    let rest = ((a.high - back.high) - back.low) + (a.low - quotient * b.low)
    return DoubleDouble(ordered: quotient, rest / b.high)
  }
}
