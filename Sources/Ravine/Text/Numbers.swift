/// Doubles as decimal text, both ways, whatever the locale.
///
/// `parse` is correctly rounded (half to even) for any number of digits. Usual numbers take
/// Clinger's exact short cut; the others are a quotient of big integers, rounded once.
enum Numbers {
  typealias Parsed = (value: Double, length: Int, tooLarge: Bool)

  /// The longest decimal number that begins at `start`, or nil where there is none.
  ///
  /// An optional sign, then digits with an optional point and an optional exponent (`5`, `.5`,
  /// `5.`, `5e-1`), or `inf`. What follows is the caller's: `1e` is 1 of length 1. A number
  /// beyond the largest Double is `tooLarge`, with an infinite value; one below half of the
  /// smallest is 0. With `suffixes`, one of k, M, G and % belongs to it and moves the point, so
  /// that 1.1k is the Double nearest to 1100.
  static func parse(_ text: [UInt8], from start: Int = 0, suffixes: Bool = false) -> Parsed? {
    var scanner = Scanner(text: text, position: start)
    let negative = scanner.skip(UInt8(ascii: "-"))
    if !negative { _ = scanner.skip(UInt8(ascii: "+")) }
    if scanner.skipInfinity() {
      return (negative ? -.infinity : .infinity, scanner.position - start, false)
    }
    guard var decimal = scanner.decimal() else { return nil }
    if suffixes { decimal.exponent += scanner.suffix() }
    let value = decimal.nearest(in: text)
    let length = scanner.position - start
    return (negative ? -value : value, length, value == .infinity)
  }

  /// Appends the shortest text that reads back as the same value: `0.1`, `1`, `1e-08`, `inf`.
  static func print(_ value: Double, into text: inout [UInt8]) {
    var shortest = value.description
    shortest.withUTF8 { text.append(contentsOf: $0) }
    // Whole numbers come as "1.0"; the shortest form with a digit before it has 3 bytes.
    let end = text.count
    if end >= 3 && text[end - 1] == UInt8(ascii: "0") && text[end - 2] == UInt8(ascii: ".") {
      text.removeLast(2)
    }
  }

  /// Reads bytes one after the other.
  private struct Scanner {
    let text: [UInt8]
    var position: Int

    /// The byte so many places ahead; 0, which is in no number, behind the end.
    func peek(_ ahead: Int = 0) -> UInt8 {
      position + ahead < text.count ? text[position + ahead] : 0
    }

    mutating func skip(_ byte: UInt8) -> Bool {
      guard peek() == byte else { return false }
      position += 1
      return true
    }

    /// `inf`, unless it is the beginning of a longer word.
    mutating func skipInfinity() -> Bool {
      guard peek() == UInt8(ascii: "i"), peek(1) == UInt8(ascii: "n"),
        peek(2) == UInt8(ascii: "f")
      else { return false }
      switch peek(3) {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
        return false
      default:
        position += 3
        return true
      }
    }

    func digit(_ ahead: Int = 0) -> UInt8? {
      let value = peek(ahead) &- UInt8(ascii: "0")
      return value < 10 ? value : nil
    }

    mutating func decimal() -> Decimal? {
      var result = Decimal()
      var (seenDigit, seenPoint) = (false, false)
      while true {
        if let digit = digit() {
          seenDigit = true
          if seenPoint { result.exponent -= 1 }
          result.append(digit, at: position)
        } else if peek() == UInt8(ascii: ".") && !seenPoint {
          seenPoint = true
        } else {
          break
        }
        position += 1
      }
      guard seenDigit else { return nil }
      result.exponent += exponent()
      return result
    }

    /// `e-8`; without a digit behind it the `e` is no part of the number.
    mutating func exponent() -> Int {
      guard peek() | 0x20 == UInt8(ascii: "e") else { return 0 }  // 0x20: e or E
      let negative = peek(1) == UInt8(ascii: "-")
      let signed = negative || peek(1) == UInt8(ascii: "+")
      guard digit(signed ? 2 : 1) != nil else { return 0 }
      position += signed ? 2 : 1
      var size = 0
      while let digit = digit() {
        // No text is long enough for its digits to make up for an exponent of 10^9.
        if size < 100_000_000 { size = size * 10 + Int(digit) }
        position += 1
      }
      return negative ? -size : size
    }

    /// The power of ten that a suffix stands for.
    mutating func suffix() -> Int {
      let power: Int
      switch peek() {
      case UInt8(ascii: "k"): power = 3
      case UInt8(ascii: "M"): power = 6
      case UInt8(ascii: "G"): power = 9
      case UInt8(ascii: "%"): power = -2
      default: return 0
      }
      position += 1
      return power
    }
  }
}

/// digits 10^exponent, where the digits are those of a text from the first that is not 0 on.
private struct Decimal {
  var exponent = 0
  private var first = 0  // where the first digit stands in the text
  private var count = 0
  private var leading: UInt64 = 0  // the first 19 digits; 20 may not fit
  private var endsInZeros = true  // no digit behind the first `enough` matters

  /// A Double, or the middle between two, has at most 767 significant digits: of the digits
  /// behind so many it only matters whether all are 0.
  private static var enough: Int { 800 }

  mutating func append(_ digit: UInt8, at position: Int) {
    if count == 0 {
      if digit == 0 { return }
      first = position
    }
    count += 1
    if count <= 19 { leading = leading &* 10 &+ UInt64(digit) }
    if count > Decimal.enough && digit != 0 { endsInZeros = false }
  }

  /// The nearest Double, infinity if there is none that large.
  func nearest(in text: [UInt8]) -> Double {
    if count == 0 { return 0 }
    // Clinger: where digits and power are both exact as Doubles, one operation rounds once.
    if count <= 19 && leading <= 1 << 53 && exponent >= -22 && exponent <= 22 {
      var power = 1.0
      for _ in 0..<exponent.magnitude { power *= 10 }
      return exponent < 0 ? Double(leading) / power : Double(leading) * power
    }
    // The value is at least 10^(count + exponent - 1), and less than ten times that.
    if count + exponent > 309 { return .infinity }
    if count + exponent < -323 { return 0 }
    // 10^n is 5^n 2^n. The powers of 2 are left to the exponent of the result.
    var (numerator, power) = integer(in: text)
    var denominator = BigInteger(1)
    if power < 0 {
      denominator.multiplyByPowerOfFive(-power)
    } else {
      numerator.multiplyByPowerOfFive(power)
    }
    return roundedQuotient(&numerator, &denominator, exponent: power)
  }

  /// All the digits that matter, and the power of ten of the last one.
  private func integer(in text: [UInt8]) -> (BigInteger, power: Int) {
    if count <= 19 { return (BigInteger(leading), exponent) }
    var result = BigInteger(0)
    var (used, position) = (0, first)
    while used < min(count, Decimal.enough) {
      let digit = text[position] &- UInt8(ascii: "0")
      if digit < 10 {  // it may be the point
        result.multiply(by: 10, adding: UInt32(digit))
        used += 1
      }
      position += 1
    }
    if endsInZeros { return (result, exponent + count - used) }
    result.multiply(by: 10, adding: 1)  // a 1 stands for whatever follows
    return (result, exponent + count - used - 1)
  }
}

/// The Double nearest to (numerator / denominator) 2^exponent; both are left changed.
private func roundedQuotient(
  _ numerator: inout BigInteger, _ denominator: inout BigInteger, exponent: Int
) -> Double {
  // Scaled so that the denominator fills its words and the quotient is between 2^61 and 2^63.
  var shift = -denominator.bitWidth & 31
  while denominator.bitWidth + shift + 62 < numerator.bitWidth { shift += 32 }
  denominator.shiftLeft(by: shift)
  let numeratorShift = denominator.bitWidth + 62 - numerator.bitWidth
  numerator.shiftLeft(by: numeratorShift)
  let high = numerator.removeMultiple(of: denominator, at: 1)
  let low = numerator.removeMultiple(of: denominator, at: 0)
  var quotient = UInt64(high) << 32 | UInt64(low)
  var scale = exponent + shift - numeratorShift  // of the last bit of the quotient
  let zeros = quotient.leadingZeroBitCount
  quotient <<= zeros
  scale -= zeros
  // The result keeps 53 bits, or fewer where they would weigh less than 2^-1074, the smallest
  // subnormal; the others, with whether anything is left over, decide the rounding.
  let dropped = max(11, -1074 - scale)
  if dropped > 64 { return 0 }
  var bits = quotient >> dropped  // 0 for 64
  let rest = quotient << (64 - dropped)
  let half: UInt64 = 1 << 63
  let above = rest > half || (rest == half && (!numerator.isZero || bits & 1 == 1))
  if above { bits += 1 }
  // The leading bit of a normal number adds 1 to the exponent field, and so may a carry.
  if dropped == 11 { bits += UInt64(scale + 63 + 1022) << 52 }
  return bits < Double.infinity.bitPattern ? Double(bitPattern: bits) : .infinity
}

/// A natural number of any size, in words of 32 bits, the lowest first.
private struct BigInteger {
  private var words: [UInt32]

  init(_ value: UInt64) {
    words = [UInt32(truncatingIfNeeded: value), UInt32(truncatingIfNeeded: value >> 32)]
    trim()
  }

  var isZero: Bool { words.allSatisfy { $0 == 0 } }

  /// The place of the highest bit that is set, from 1.
  var bitWidth: Int { words.count * 32 - (words.last?.leadingZeroBitCount ?? 0) }

  private mutating func trim() {
    while words.last == 0 { words.removeLast() }
  }

  mutating func multiply(by factor: UInt32, adding addend: UInt32 = 0) {
    var carry = UInt64(addend)
    for i in words.indices {
      carry += UInt64(words[i]) * UInt64(factor)
      words[i] = UInt32(truncatingIfNeeded: carry)
      carry >>= 32
    }
    if carry > 0 { words.append(UInt32(truncatingIfNeeded: carry)) }
  }

  mutating func multiplyByPowerOfFive(_ exponent: Int) {
    var rest = exponent
    while rest >= 13 {
      multiply(by: 1_220_703_125)  // 5^13, the largest power of 5 in a word
      rest -= 13
    }
    for _ in 0..<rest { multiply(by: 5) }
  }

  mutating func shiftLeft(by count: Int) {
    let bits = UInt64(count & 31)
    var carry: UInt64 = 0
    for i in words.indices {
      carry |= UInt64(words[i]) << bits
      words[i] = UInt32(truncatingIfNeeded: carry)
      carry >>= 32
    }
    words.append(UInt32(truncatingIfNeeded: carry))
    trim()
    words.insert(contentsOf: repeatElement(0, count: count / 32), at: 0)
  }

  /// One step of Knuth's algorithm D (volume 2, 4.3.1): subtracts the largest multiple of
  /// divisor 2^(32 place) and returns which. The divisor fills its words, the multiple fits one.
  mutating func removeMultiple(of divisor: BigInteger, at place: Int) -> UInt32 {
    let top = place + divisor.words.count
    // From the leading words: never too small, and too large by 2 at most.
    let dividend = UInt64(words[top]) << 32 | UInt64(words[top - 1])
    let estimate = min(dividend / UInt64(divisor.words[top - place - 1]), UInt64(UInt32.max))
    var carry: UInt64 = 0
    for (i, word) in divisor.words.enumerated() {
      carry += UInt64(word) * estimate
      let part = UInt32(truncatingIfNeeded: carry)
      carry >>= 32
      if words[place + i] < part { carry += 1 }
      words[place + i] &-= part
    }
    var negative = UInt64(words[top]) < carry
    words[top] &-= UInt32(truncatingIfNeeded: carry)
    var quotient = UInt32(truncatingIfNeeded: estimate)
    while negative {
      quotient -= 1
      carry = 0
      for (i, word) in divisor.words.enumerated() {
        carry += UInt64(words[place + i]) + UInt64(word)
        words[place + i] = UInt32(truncatingIfNeeded: carry)
        carry >>= 32
      }
      carry += UInt64(words[top])
      words[top] = UInt32(truncatingIfNeeded: carry)
      negative = carry >> 32 == 0
    }
    return quotient
  }
}
