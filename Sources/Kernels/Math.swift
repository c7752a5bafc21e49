import CShims

/// `exp`, `log`, `pow`, `tanh`, `sin` and `cos` that give the same bytes on every machine.
///
/// The system's libm differs from one version and one processor to the next, so these use
/// nothing but IEEE + - * / on Double, without fused multiply-add. The leading terms are carried
/// in two Doubles, which leaves the last rounding as nearly the only error: 0.52 ulp at most.
/// Special values are those of C99. The series are plain Taylor series, so that a coefficient can
/// be checked by looking at it; the tables of tables.h keep those of exp and log short.
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
    return logarithm(x).rounded
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
      let logOfBase = logarithm(base)
      let product = DoubleDouble(product: y, logOfBase.high)
      magnitude = exponential(DoubleDouble(product.high, product.low + y * logOfBase.low))
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
    // (exp(2x) - 1) / (exp(2x) + 1), with exp(2x) = scale (1 + part + rest).
    let (power, part, rest, exponent) = reducedExponential(DoubleDouble(2 * size))
    let scale = power * powerOfTwo(exponent)
    let product = DoubleDouble(product: scale, part.high)
    let numerator =
      DoubleDouble(sum: scale, -1)
      + DoubleDouble(product.high, product.low + scale * (part.low + rest))
    let result = (numerator / (numerator + DoubleDouble(2))).rounded
    return x < 0 ? -result : result
  }

  // MARK: Exponential

  /// exp(x) rounded once, with overflow to infinity and gradual underflow. The lower part of x may
  /// be as much as 2^-8, and anything where the upper one decides already.
  @inline(__always)
  private static func exponential(_ x: DoubleDouble) -> Double {
    // log of the largest Double is 709.78; half of the smallest one is exp(-745.13).
    if x.high > 710 { return .infinity }
    if x.high < -746 { return 0 }
    let (power, part, rest, exponent) = reducedExponential(x)
    let increment = power * (part.rounded + rest)
    if exponent >= -1022 { return (power + increment) * powerOfTwo(exponent) }  // at least 1.98
    // Subnormal: count in units of 2^-1074, the smallest one, and round that count half to even.
    let value = DoubleDouble(ordered: power, increment)
    let unit = powerOfTwo(exponent + 1074)
    let scaled = value.high * unit
    if scaled >= 0x1p52 { return scaled * 0x1p-1074 }  // not subnormal after all
    var count = Int64(scaled)
    let fraction = (scaled - Double(count)) + value.low * unit
    if fraction > 0.5 || (fraction == 0.5 && count & 1 == 1) { count &+= 1 }
    return Double(bitPattern: UInt64(bitPattern: count))
  }

  /// exp(x) as 2^exponent power (1 + part + rest), for |x| < 750. The power is from 2 to 4, so that
  /// 2^exponent is finite whenever exp(x) is.
  @inline(__always)
  private static func reducedExponential(
    _ x: DoubleDouble
  ) -> (power: Double, part: DoubleDouble, rest: Double, exponent: Int) {
    // 184.66 is 128/log(2). Adding 1.5 * 2^52 rounds to the nearest integer, left in the low bits.
    let shifted = x.high * 184.6649652337873 + 0x1.8p52
    let index = Int(Int32(truncatingIfNeeded: Int64(bitPattern: shifted.bitPattern)))
    let row = ravine_exp_row_at(index).pointee
    // r = x - index log(2)/128; with the leading 35 bits of log(2)/128, `high` is exact.
    let steps = shifted - 0x1.8p52
    let high = x.high - steps * 0x1.62e42fefap-8
    let low = x.low - steps * 0x1.cf79abc9e3b3ap-47
    let r = high + low  // at most 2^-7.3 in size
    // exp(r) - 1 = r + r^2 (1/2 + r/6 + ...) in plain Double.
    let square = r * r
    let even = 1.0 / 24.0 + r * (1.0 / 120.0) + square * (1.0 / 720.0)
    let series = (0.5 + r * (1.0 / 6.0)) + square * even
    let part = DoubleDouble(high, low + (row.tail + row.tail * high))
    return (row.power, part, square * series, (index &>> 7) &- 1)
  }

  // MARK: Logarithm

  /// log(x) for finite x > 0, to about 68 bits. The lower part may be up to 2^-17 of the upper one.
  @inline(__always)
  private static func logarithm(_ x: Double) -> DoubleDouble {
    // x = 2^exponent m with m between 0.704 and 1.408; subnormals are made normal first. Each row
    // of the table is for an interval of m, chosen by its leading bits; 1 lies well inside of one.
    let subnormal = x < Double.leastNormalMagnitude
    let bits = (subnormal ? x * 0x1p54 : x).bitPattern
    let place = Int(truncatingIfNeeded: bits &- 0x3FE6_8AAB_0000_0000)  // bits of 0.704
    let row = ravine_log_row_at(place &>> 45).pointee
    let shift = place &>> 52
    let exponent = Double(subnormal ? shift &- 54 : shift)
    let mBits = bits &- UInt64(bitPattern: Int64(shift)) &<< 52
    // r = m inverse - 1, at most 2^-7.9: exact in two parts, as those of m have 21 and 32 bits.
    let head = Double(bitPattern: (mBits &+ 0x8000_0000) & ~0xFFFF_FFFF)
    let rHigh = head * row.inverse - 1
    let rLow = (Double(bitPattern: mBits) - head) * row.inverse
    // exponent log(2) - log(inverse) + r - rHigh^2 / 2. The upper parts of the two logarithms are
    // multiples of 2^-42, so that nothing is rounded here before the ordered sums.
    let start = exponent * 0x1.62e42fefa38p-1 + row.high
    let sum = DoubleDouble(ordered: start + rHigh, rLow)
    let leading = DoubleDouble(ordered: sum.high, -0.5 * rHigh * rHigh)
    let logLow = exponent * 0x1.ef35793c7673p-45 + row.low
    // What that leaves of log(1 + r), as Doubles: -rLow (rHigh + r) / 2 + r^3 (1/3 - r/4 + ...).
    let r = rHigh + rLow
    let square = r * r
    let first = 1.0 / 3.0 - r * 0.25
    let second = 0.2 - r * (1.0 / 6.0)
    let third = 1.0 / 7.0 - r * 0.125 + square * (1.0 / 9.0)
    let series = first + square * second + square * square * third
    let rest = (sum.low + logLow - 0.5 * rLow * (rHigh + r)) + leading.low
    return DoubleDouble(leading.high, rest + square * r * series)
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
