import Foundation
import Kernels
import Testing

/// `exp log pow sin cos tanh` against mpmath (Vectors/math.json, written by
/// Tests/reference/math_vectors.py), at the special values of C99, and byte for byte.
struct MathTests {
  static let functions: [String: @Sendable ([Double]) -> Double] = [
    "exp": { Math.exp($0[0]) },
    "log": { Math.log($0[0]) },
    "sin": { Math.sin($0[0]) },
    "cos": { Math.cos($0[0]) },
    "tanh": { Math.tanh($0[0]) },
    "pow": { Math.pow($0[0], $0[1]) },
  ]

  static let vectors: [String: [String]] = {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    let file = folder.appendingPathComponent("Vectors/math.json")
    let data = try? Data(contentsOf: file)
    return data.flatMap { try? JSONDecoder().decode([String: [String]].self, from: $0) } ?? [:]
  }()

  /// How many Doubles lie between the two; -0 and 0 are one apart.
  private func ulps(_ a: Double, _ b: Double) -> UInt64 {
    if a.isNaN || b.isNaN { return a.isNaN && b.isNaN ? 0 : .max }
    func place(_ x: Double) -> Int64 {
      let bits = Int64(bitPattern: x.bitPattern)
      return bits < 0 ? Int64.min &- bits &- 1 : bits
    }
    let (low, high) = (min(place(a), place(b)), max(place(a), place(b)))
    return UInt64(bitPattern: high &- low)
  }

  @Test(arguments: ["exp", "log", "sin", "cos", "tanh", "pow"])
  func isWithinOneUlpOfTheReference(name: String) throws {
    let function = try #require(Self.functions[name])
    let lines = try #require(Self.vectors[name])
    #expect(lines.count > 250)
    for line in lines {
      let numbers = line.split(separator: " ").compactMap { UInt64($0, radix: 16) }
        .map { Double(bitPattern: $0) }
      let (arguments, expected) = (Array(numbers.dropLast()), try #require(numbers.last))
      let result = function(arguments)
      if ulps(result, expected) > 1 {
        Issue.record("\(name)\(arguments) is \(result), should be \(expected)")
      }
    }
  }

  @Test func specialValuesOfOneArgument() {
    let inf = Double.infinity
    let cases: [(name: String, argument: Double, expected: Double)] = [
      ("exp", 0, 1), ("exp", -0.0, 1), ("exp", inf, inf), ("exp", -inf, 0), ("exp", .nan, .nan),
      ("exp", 709.782712893384, 1.7976931348622732e308),  // the last that does not overflow
      ("exp", 709.7827128933841, inf), ("exp", 1e308, inf), ("exp", -1e308, 0),
      ("exp", -745.1332191019411, 0x1p-1074),  // the last that does not underflow to 0
      ("exp", -745.1332191019412, 0), ("exp", 0x1p-1074, 1), ("exp", 1, 2.718281828459045),
      ("log", 1, 0), ("log", 0, -inf), ("log", -0.0, -inf), ("log", inf, inf),
      ("log", -1, .nan), ("log", -inf, .nan), ("log", .nan, .nan), ("log", -0x1p-1074, .nan),
      ("log", 0x1p-1074, -744.4400719213812), ("log", 1.7976931348623157e308, 709.782712893384),
      ("sin", 0, 0), ("sin", -0.0, -0.0), ("sin", inf, .nan), ("sin", -inf, .nan),
      ("sin", .nan, .nan), ("sin", 0x1p-1074, 0x1p-1074), ("sin", -0x1p-1074, -0x1p-1074),
      ("sin", 1e22, -0.8522008497671888),  // where x87's fsin is wrong
      ("cos", 0, 1), ("cos", -0.0, 1), ("cos", inf, .nan), ("cos", -inf, .nan),
      ("cos", .nan, .nan), ("cos", 0x1p-1074, 1), ("cos", 1e22, 0.523214785395139),
      ("cos", 0x1.6ac5b262ca1ffp849, -4.687165924254628e-19),  // the closest to k pi/2 of all
      ("tanh", 0, 0), ("tanh", -0.0, -0.0), ("tanh", inf, 1), ("tanh", -inf, -1),
      ("tanh", .nan, .nan), ("tanh", 0x1p-1074, 0x1p-1074), ("tanh", 1e300, 1), ("tanh", -30, -1),
    ]
    for (name, argument, expected) in cases {
      let result = Self.functions[name]!([argument])
      let same = expected.isNaN ? result.isNaN : result.bitPattern == expected.bitPattern
      #expect(same, "\(name)(\(argument)) is \(result), should be \(expected)")
    }
  }

  /// C99, annex F.9.4.4.
  @Test func specialValuesOfPow() {
    let inf = Double.infinity
    let cases: [(base: Double, exponent: Double, expected: Double)] = [
      // 1 whatever the other one is
      (.nan, 0, 1), (.nan, -0.0, 1), (inf, 0, 1), (0, 0, 1), (1, .nan, 1), (1, inf, 1),
      (-1, inf, 1), (-1, -inf, 1), (-1, 2, 1), (-1, 3, -1), (-1, 1e300, 1),
      // NaN
      (.nan, 1, .nan), (2, .nan, .nan), (-1, .nan, .nan), (-2, 0.5, .nan), (-2, -1.5, .nan),
      // zeros
      (0, -1, inf), (-0.0, -1, -inf), (0, -2, inf), (-0.0, -2, inf), (-0.0, -0.5, inf),
      (0, -inf, inf), (-0.0, -inf, inf), (0, 3, 0), (-0.0, 3, -0.0), (-0.0, 2, 0),
      (-0.0, 0.5, 0), (-0.0, inf, 0),
      // infinities
      (0.5, -inf, inf), (-0.5, -inf, inf), (2, -inf, 0), (0.5, inf, 0), (2, inf, inf),
      (-2, inf, inf), (-inf, -3, -0.0), (-inf, -2, 0), (-inf, -0.5, 0), (-inf, 3, -inf),
      (-inf, 2, inf), (-inf, 0.5, inf), (inf, -1, 0), (inf, 1e-300, inf),
      // overflow, underflow, and the sign of either
      (10, 309, inf), (-10, 309, -inf), (-10, -325, -0.0), (10, -325, 0), (2, 1024, inf),
      (2, 1e300, inf), (0.5, 1e300, 0), (2, -1074, 0x1p-1074), (2, -1075, 0),
      (-2, -1073, -0x1p-1073),
      // exact
      (2, 1023, 0x1p1023), (2, -1022, 0x1p-1022), (3, 2, 9), (10, 22, 1e22), (4, 0.5, 2),
      (-3, 3, -27), (7, 1, 7), (8, -1, 0.125), (0x1p-1074, 1, 0x1p-1074), (2, 0x1p-1074, 1),
      // 2^53 is even, 2^53 - 1 is the largest odd one
      (-1, 9007199254740992, 1), (-1, 9007199254740991, -1),
    ]
    for (base, exponent, expected) in cases {
      let result = Math.pow(base, exponent)
      let same = expected.isNaN ? result.isNaN : result.bitPattern == expected.bitPattern
      #expect(same, "pow(\(base), \(exponent)) is \(result), should be \(expected)")
    }
  }

  @Test func symmetries() {
    for i in 1...2000 {
      let x = Double(i) * 0.37
      #expect(Math.sin(-x) == -Math.sin(x))
      #expect(Math.cos(-x) == Math.cos(x))
      #expect(Math.tanh(-x) == -Math.tanh(x))
    }
  }

  /// The bits themselves: the hash was the same on x86-64 (SSE2, AVX2, AVX-512) and AArch64, in
  /// ordinary and Embedded builds. A change of a formula may change it, a machine may not.
  @Test func bitsAreTheSameOnEveryMachine() {
    var generator = Generator(state: 1)
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325  // FNV-1a over whole words
    func add(_ x: Double) { hash = (hash ^ (x.isNaN ? 0 : x.bitPattern)) &* 0x100_0000_01b3 }
    for _ in 0..<20_000 {
      let x = generator.double(exponents: -30..<10)
      let y = generator.double(exponents: -10..<10)
      add(Math.exp(x))
      add(Math.log(x.magnitude))
      add(Math.sin(x))
      add(Math.cos(y))
      add(Math.tanh(x))
      add(Math.pow(x.magnitude, y))
    }
    #expect(hash == 0x4a16_25b4_b5e5_be35)
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

    /// Random sign and mantissa, exponents evenly from the range.
    mutating func double(exponents: Range<Int>) -> Double {
      let exponent = UInt64(1023 + exponents.lowerBound) + next() % UInt64(exponents.count)
      return Double(bitPattern: next() & 0x800f_ffff_ffff_ffff | exponent << 52)
    }
  }
}
