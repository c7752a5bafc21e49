/// Sine and cosine; see Math.swift for the promises.
extension Math {
  public static func sin(_ x: Double) -> Double {
    // Below 2^-27, x - x^3/6 rounds to x (give or take 0.05 ulp).
    if x.magnitude < 0x1p-27 { return x }
    if !(x.magnitude < .infinity) { return .nan }
    let (quadrant, r) = quadrantAndRest(x.magnitude)
    let size = quadrant & 1 == 0 ? sineOfRest(r) : cosineOfRest(r)
    return (quadrant & 2 == 2) != (x < 0) ? -size : size
  }

  public static func cos(_ x: Double) -> Double {
    if !(x.magnitude < .infinity) { return .nan }
    let (quadrant, r) = quadrantAndRest(x.magnitude)
    let size = quadrant & 1 == 0 ? cosineOfRest(r) : sineOfRest(r)
    return (quadrant &+ 1) & 2 == 2 ? -size : size
  }

  /// sin(r) = r - r (z/6 - z^2 tail) with z = r^2, for |r| <= pi/4.
  @inline(__always)
  private static func sineOfRest(_ r: DoubleDouble) -> Double {
    let square = r * r
    let z = square.high
    var tail = -1.0 / 121645100408832000.0  // -1/19!, and so on to 1/5! with changing signs
    tail = tail * z + 1.0 / 355687428096000.0
    tail = tail * z - 1.0 / 1307674368000.0
    tail = tail * z + 1.0 / 6227020800.0
    tail = tail * z - 1.0 / 39916800.0
    tail = tail * z + 1.0 / 362880.0
    tail = tail * z - 1.0 / 5040.0
    tail = tail * z + 1.0 / 120.0
    // -1/6 with what its Double leaves out.
    let sixth = DoubleDouble(-0x1.5555555555555p-3, -0x1.5555555555555p-57)
    return (r + r * (square * sixth + DoubleDouble(z * z * tail))).rounded
  }

  /// cos(r) = 1 - z/2 + z^2 tail with z = r^2, for |r| <= pi/4.
  @inline(__always)
  private static func cosineOfRest(_ r: DoubleDouble) -> Double {
    let square = r * r
    let z = square.high
    var tail = 1.0 / 2432902008176640000.0  // 1/20!, and so on to 1/4! with changing signs
    tail = tail * z - 1.0 / 6402373705728000.0
    tail = tail * z + 1.0 / 20922789888000.0
    tail = tail * z - 1.0 / 87178291200.0
    tail = tail * z + 1.0 / 479001600.0
    tail = tail * z - 1.0 / 3628800.0
    tail = tail * z + 1.0 / 40320.0
    tail = tail * z - 1.0 / 720.0
    tail = tail * z + 1.0 / 24.0
    let half = DoubleDouble(-0.5 * square.high, -0.5 * square.low)
    return (DoubleDouble(1) + half + DoubleDouble(z * z * tail)).rounded
  }

  /// x = quadrant pi/2 + rest for finite x >= 0, with |rest| <= pi/4 and the quadrant modulo 4.
  ///
  /// One way for every size (Payne and Hanek): x is m 2^e with an integer m, so x (2/pi) modulo 4
  /// needs only the bits of 2/pi that weigh less than 4/2^e, and is computed in integers.
  /// 126 bits stay behind the point. No Double comes closer than 2^-61 to a multiple of
  /// pi/2 (a result of Kahan's search), so at least 64 of them are significant.
  @inline(__always)
  private static func quadrantAndRest(_ x: Double) -> (quadrant: UInt64, rest: DoubleDouble) {
    if x < 0x1.921fb54442d18p-1 { return (0, DoubleDouble(x)) }  // pi/4
    let m = x.bitPattern & 0xF_FFFF_FFFF_FFFF | 0x10_0000_0000_0000
    // e - 2 bits weigh 4 or more and are left out; 64 zeros stand before the point (word 0).
    let position = (x.bitPattern &>> 52) &- (1023 + 52) &+ 62
    let (word, bit) = (position &>> 6, position & 63)
    let w0 = twoOverPi(word), w1 = twoOverPi(word &+ 1)
    let w2 = twoOverPi(word &+ 2), w3 = twoOverPi(word &+ 3)
    // A shift by 64 gives 0 with >>, which is what bit = 0 asks for.
    let a = w0 << bit | w1 >> (64 - bit)
    let b = w1 << bit | w2 >> (64 - bit)
    let c = w2 << bit | w3 >> (64 - bit)
    // (high, low) = m (a, b, c) / 2^64 modulo 2^128: two integer bits and 126 of the fraction.
    let middle = m.multipliedFullWidth(by: b)
    let (low, carry) = middle.low.addingReportingOverflow(m.multipliedFullWidth(by: c).high)
    let high = m &* a &+ middle.high &+ (carry ? 1 : 0)
    // The fraction as a signed number from -1/2 to 1/2; a negative one counts down from the next
    // quadrant.
    let negative = high & 0x2000_0000_0000_0000 != 0
    let quadrant = (high &>> 62) &+ (negative ? 1 : 0)
    let flip: UInt64 = negative ? .max : 0  // one's complement: the missing 1 weighs 2^-128
    let f1 = (high << 2 | low >> 62) ^ flip
    let f0 = (low << 2) ^ flip
    // The leading 106 bits as two Doubles, exactly.
    let zeros = UInt64(truncatingIfNeeded: f1.leadingZeroBitCount)
    let n1 = f1 << zeros | f0 >> (64 - zeros)
    let n0 = f0 << zeros
    let unit = powerOfTwo(-53 &- Int(zeros))
    let scale = negative ? -unit : unit
    let leading = Double(Int64(n1 >> 11)) * scale
    let trailing = Double(Int64((n1 << 53 | n0 >> 11) >> 11)) * (scale * 0x1p-53)
    // pi/2, the first and the second 53 bits.
    let halfPi = DoubleDouble(0x1.921fb54442d18p0, 0x1.1a62633145c07p-54)
    return (quadrant, DoubleDouble(ordered: leading, trailing) * halfPi)
  }

  /// The bits of 2/pi by words of 64, after one word of zeros (computed with mpmath; they agree
  /// with the table in fdlibm's e_rem_pio2.c). A switch becomes a table without any set-up.
  @inline(__always)
  private static func twoOverPi(_ word: UInt64) -> UInt64 {
    switch word {
    case 1: 0xa2f9_836e_4e44_1529
    case 2: 0xfc27_57d1_f534_ddc0
    case 3: 0xdb62_9599_3c43_9041
    case 4: 0xfe51_63ab_debb_c561
    case 5: 0xb724_6e3a_424d_d2e0
    case 6: 0x0649_2eea_09d1_921c
    case 7: 0xfe1d_eb1c_b129_a73e
    case 8: 0xe882_35f5_2ebb_4484
    case 9: 0xe99c_7026_b45f_7e41
    case 10: 0x3991_d639_8353_39f4
    case 11: 0x9c84_5f8b_bdf9_283b
    case 12: 0x1ff8_97ff_de05_980f
    case 13: 0xef2f_118b_5a0a_6d1f
    case 14: 0x6d36_7ecf_27cb_09b7
    case 15: 0x4f46_3f66_9e5f_ea2d
    case 16: 0x7527_bac7_ebe5_f17b
    case 17: 0x3d07_39f7_8a52_92ea
    case 18: 0x6bfb_5fb1_1f8d_5d08
    case 19: 0x5603_3046_fc7b_6bab
    default: 0
    }
  }
}
