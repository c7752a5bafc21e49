import Testing

@testable import Ravine

/// Decimal text to Double and back. The reference for reading is `Double.init(_: String)` of the
/// ordinary standard library, which is correctly rounded (and does not exist in Embedded Swift).
struct NumbersTests {
  private func parse(_ text: String) -> Numbers.Parsed? { Numbers.parse(Array(text.utf8)) }

  private func print(_ value: Double) -> String {
    var bytes: [UInt8] = []
    Numbers.print(value, into: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The whole text is a number, and that one to the bit.
  private func expect(_ text: String, is value: Double) {
    let parsed = parse(text)
    let same = parsed?.value.bitPattern == value.bitPattern && parsed?.length == text.utf8.count
    let name = text.count > 60 ? text.prefix(60) + "..." : text[...]
    #expect(same, "\(name) is \(value), was read as \(String(describing: parsed))")
    #expect(parsed?.tooLarge == false, "\(name) is not too large")
  }

  // MARK: What is a number

  @Test func readsTheLongestNumber() {
    let cases: [(text: String, value: Double, length: Int)] = [
      ("1", 1, 1), ("+1", 1, 2), ("-1", -1, 2), ("1.5", 1.5, 3), (".5", 0.5, 2), ("+.5", 0.5, 3),
      ("-.5", -0.5, 3), ("5.", 5, 2), ("1.e5", 1e5, 4), ("1E5", 1e5, 3), ("1e+5", 1e5, 4),
      ("1e-5", 1e-5, 4), ("1e-08", 1e-8, 5), ("007", 7, 3),
      // An e without digits behind it, or any other letter, belongs to the caller.
      ("1e", 1, 1), ("1e+", 1, 1), ("1e-", 1, 1), ("1ex", 1, 1), ("1.5e-x", 1.5, 3),
      ("1k", 1, 1), ("10%", 10, 2), ("1e3k", 1000, 3), ("0x10", 0, 1), ("1_000", 1, 1),
      ("1 2", 1, 1), ("1,5", 1, 1), ("1.2.3", 1.2, 3), ("1..2", 1, 2), ("1-2", 1, 1),
      ("inf", .infinity, 3), ("+inf", .infinity, 4), ("-inf", -.infinity, 4),
      ("inf)", .infinity, 3), ("inf,", .infinity, 3),
    ]
    for (text, value, length) in cases {
      let parsed = parse(text)
      #expect(parsed?.value == value && parsed?.length == length, "\(text)")
      #expect(parsed?.tooLarge == false, "\(text)")
    }
  }

  @Test(arguments: [
    "", "+", "-", ".", "+.", "-.", "e5", ".e5", "-e5", "+-1", "--1", " 1", "x", "nan", "NaN",
    "Inf", "in", "infinity", "inform", "inf_1", "i", "-i", "\u{0661}",  // an Arabic digit one
  ])
  func refusesWhatIsNoNumber(text: String) {
    #expect(parse(text) == nil)
  }

  @Test func readsFromThePlaceItIsGiven() {
    let text = Array("lr=1e-3, 5".utf8)
    let parsed = Numbers.parse(text, from: 3)
    #expect(parsed?.value == 1e-3 && parsed?.length == 4)
    #expect(Numbers.parse(text, from: 9)?.value == 5)
    #expect(Numbers.parse(text, from: 10) == nil)  // the end
    #expect(Numbers.parse(text, from: 0) == nil)
  }

  @Test func zeros() {
    for text in ["0", "0.0", "00", ".0", "0.", "+0", "0e5", "0e999999999999", "0.000e-9"] {
      expect(text, is: 0)
    }
    for text in ["-0", "-0.0", "-0e5"] { expect(text, is: -0.0) }
    expect(String(repeating: "0", count: 16_000), is: 0)
  }

  // MARK: Rounding

  @Test func hardCases() {
    // The largest subnormal is 2.225073858507201e-308: the number that hung PHP and Java.
    expect("2.2250738585072011e-308", is: 0x0.fffffffffffffp-1022)
    expect("2.2250738585072012e-308", is: 0x1p-1022)  // which rounds up to the smallest normal
    expect("2.2250738585072014e-308", is: 0x1p-1022)
    // 2^53 + 1 lies half-way between 2^53 and 2^53 + 2, and 2^53 is the even one.
    expect("9007199254740993", is: 9_007_199_254_740_992)
    expect("9007199254740993.000000000000000000000001", is: 9_007_199_254_740_994)
    expect("9007199254740992.999999999999999999999999", is: 9_007_199_254_740_992)
    expect("9007199254740995", is: 9_007_199_254_740_996)  // here the upper one is even
    // The largest Double, and the last numbers that round to it.
    expect("1.7976931348623157e308", is: .greatestFiniteMagnitude)
    expect("1.7976931348623158e308", is: .greatestFiniteMagnitude)
    expect("1.797693134862315807e308", is: .greatestFiniteMagnitude)
    // The smallest Double is 4.94e-324; half of it is 2.4703282292062327208...e-324.
    expect("5e-324", is: 0x1p-1074)
    expect("3e-324", is: 0x1p-1074)
    expect("2.4703282292062328e-324", is: 0x1p-1074)
    expect("2.4703282292062327e-324", is: 0)
    expect("2.47e-324", is: 0)
    expect("7.4e-324", is: 0x1p-1074)  // 1.5 of them are 7.41e-324
    expect("7.5e-324", is: 0x1p-1073)
    expect("1e-400", is: 0)
    expect("-1e-400", is: -0.0)
    expect("1e-99999999999999999999", is: 0)
    // 10^22 is the last power of ten that is a Double; 10^23 lies almost half-way.
    expect("1e22", is: 1e22)
    expect("1e23", is: 0x1.52d02c7e14af6p76)
    expect("8.5e22", is: 8.5e22)
    // What 19 and 20 digits are the limits of: 64-bit integers.
    expect("18446744073709551615", is: 0x1p64)
    expect("9999999999999999999", is: 1e19)
    expect("99999999999999999999", is: 1e20)
    // Zeros in front and an exponent that makes up for them.
    expect("0." + String(repeating: "0", count: 5000) + "1e5001", is: 1)
    expect("1" + String(repeating: "0", count: 5000) + "e-5000", is: 1)
    expect(String(repeating: "0", count: 5000) + "1.5", is: 1.5)
  }

  @Test func tooLargeIsSaid() {
    // 1.7976931348623158079...e308 is half-way to 2^1024, which is no Double any more.
    for text in ["1e400", "1.7976931348623159e308", "1.797693134862315808e308", "2e308", "1e309"] {
      let parsed = parse(text)
      #expect(parsed?.value == .infinity && parsed?.tooLarge == true, "\(text)")
      #expect(parsed?.length == text.utf8.count, "\(text)")
      #expect(parse("-" + text)?.value == -.infinity, "\(text)")
      #expect(parse("-" + text)?.tooLarge == true, "\(text)")
    }
    #expect(parse("1e99999999999999999999")?.tooLarge == true)
  }

  /// The middle of two Doubles in full, just below and just above: the last of hundreds of digits
  /// decides.
  @Test func longDigitStringsAroundTheMiddle() {
    // Half of the smallest Double, 2^-1075, has 752 digits; with a 1 far behind it rounds up.
    let half = decimalDigits(ofTwoToMinus: 1075)
    expect("0." + half, is: 0)
    expect("0." + half + String(repeating: "0", count: 10_000) + "1", is: 0x1p-1074)
    expect("0." + half + String(repeating: "0", count: 10_000), is: 0)
    expect("0." + half.dropLast() + "4" + String(repeating: "9", count: 10_000), is: 0)
    // 1 + 2^-53, half-way between 1 and its upper neighbour.
    let place = decimalDigits(ofTwoToMinus: 53)
    expect("1." + place, is: 1)
    expect("1." + place + String(repeating: "0", count: 2000) + "7", is: 1.0.nextUp)
    expect("1." + place.dropLast() + "4" + String(repeating: "9", count: 2000), is: 1)
    // 1 + 3 2^-53, where the upper one is even.
    let three = "33306690738754696212708950042724609375"  // 3 2^-53 = 3.33...e-16 in full
    expect("1.000000000000000" + three, is: 1.0.nextUp.nextUp)
    expect("1.000000000000000" + three.dropLast() + "4999", is: 1.0.nextUp)
    // 16 KB of digits.
    expect(String(repeating: "3", count: 16_000) + "e-16000", is: 1.0 / 3)
    expect("0." + String(repeating: "6", count: 16_000), is: 2.0 / 3)
  }

  /// The digits of 2^-n behind the point: 5^n with zeros in front, n digits together.
  private func decimalDigits(ofTwoToMinus n: Int) -> String {
    var digits: [UInt8] = [1]  // the lowest first
    for _ in 0..<n {
      var carry: UInt8 = 0
      for i in digits.indices {
        carry += digits[i] * 5
        digits[i] = carry % 10
        carry /= 10
      }
      if carry > 0 { digits.append(carry) }
    }
    let power = digits.reversed().map { String($0) }.joined()
    return String(repeating: "0", count: n - power.utf8.count) + power
  }

  @Test func agreesWithTheStandardLibrary() {
    var generator = Generator(state: 2)
    for _ in 0..<100_000 {
      var text = ["", "-", "+"][Int(generator.next() % 3)]
      let count = 1 + Int(generator.next() % 25)
      let point = Int(generator.next() % 28)
      for i in 0..<count {
        if i == point { text += "." }
        text += String(generator.next() % 10)
      }
      if generator.next() % 4 > 0 { text += "e" + String(Int(generator.next() % 700) - 350) }
      let (parsed, expected) = (parse(text), Double(text)!)
      if parsed?.value.bitPattern != expected.bitPattern || parsed?.length != text.utf8.count {
        Issue.record("\(text) is \(expected), was read as \(String(describing: parsed))")
      }
    }
  }

  // MARK: Printing

  @Test func printsTheShortestText() {
    let cases: [(value: Double, text: String)] = [
      (0.1, "0.1"), (1, "1"), (0, "0"), (-0.0, "-0"), (-2, "-2"), (10, "10"), (10_000, "10000"),
      (1e-8, "1e-08"), (1e-3, "0.001"), (0.30000000000000004, "0.30000000000000004"),
      (1e16, "1e+16"), (123_456_789, "123456789"), (100.5, "100.5"), (0x1p-1074, "5e-324"),
      (.greatestFiniteMagnitude, "1.7976931348623157e+308"), (.infinity, "inf"),
      (-.infinity, "-inf"), (.nan, "nan"),
    ]
    for (value, text) in cases { #expect(print(value) == text) }
  }

  @Test func printsBehindWhatIsThere() {
    var bytes = Array("lr=".utf8)
    Numbers.print(1, into: &bytes)
    #expect(bytes == Array("lr=1".utf8))
  }

  @Test func randomDoublesReadBackAsTheSameBits() {
    #if DEBUG
    let count = 100_000  // a million take half a minute without optimisation
    #else
    let count = 1_000_000
    #endif
    var generator = Generator(state: 3)
    var bytes: [UInt8] = []
    for _ in 0..<count {
      let value = Double(bitPattern: generator.next())
      if value.isNaN { continue }
      bytes.removeAll(keepingCapacity: true)
      Numbers.print(value, into: &bytes)
      let parsed = Numbers.parse(bytes)
      if parsed?.value.bitPattern != value.bitPattern || parsed?.length != bytes.count {
        Issue.record("\(value) was read back as \(String(describing: parsed))")
      }
    }
  }

  /// SplitMix64, the generator of Steele, Lea and Flood: the same numbers in every run.
  private struct Generator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var z = state
      z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
      return z ^ (z >> 31)
    }
  }
}
