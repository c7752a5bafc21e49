import Kernels
import Testing

/// Philox, whole numbers below n, and keyed permutations.
struct RandomTests {
  /// From kat_vectors of Random123: philox4x32, 10 rounds.
  @Test func philoxGivesTheKnownAnswers() {
    let known: [(key: UInt64, counter: (UInt64, UInt64), answer: (UInt64, UInt64))] = [
      (0, (0, 0), (0xe169_c58d_6627_e8d5, 0x9b00_dbd8_bc57_ac4c)),
      (.max, (.max, .max), (0x41c8_3b0e_408f_276d, 0x6d54_51fd_a20b_c7c6)),
      (
        0x299f_31d0_a409_3822, (0x85a3_08d3_243f_6a88, 0x0370_7344_1319_8a2e),
        (0x94fd_cceb_d16c_fe09, 0x2412_6ea1_5001_e420)
      ),
    ]
    for case let (key, counter, answer) in known {
      let block = Philox(key: key).block(counter.0, counter.1)
      #expect(block.low == answer.0 && block.high == answer.1)
    }
  }

  @Test func childrenDifferFromEachOther() {
    var seen: Set<UInt64> = []
    for seed in 0..<10 as Range<UInt64> {
      for purpose in [RandomPurpose.order, .draws, .batches, .places] {
        let parent = Philox(seed: seed, purpose)
        for child in 0..<10 as Range<UInt64> { seen.insert(parent.child(child).block(0).low) }
      }
    }
    #expect(seen.count == 400)
  }

  // MARK: whole numbers

  @Test func numbersAreBelowTheirLimit() {
    let random = Philox(key: 1)
    for n in [1, 2, 3, 10, 1 << 32, (1 << 32) + 1, 1 << 63, (1 << 63) + 1, .max] as [UInt64] {
      for i in 0..<1000 as Range<UInt64> { #expect(random.below(n, at: i) < n) }
    }
  }

  @Test func numbersAreEquallyLikely() {
    let random = Philox(key: 2)
    for n in [2, 3, 7, 10, 100] {
      var counts = [Int](repeating: 0, count: n)
      for i in 0..<(1000 * n) { counts[Int(random.below(UInt64(n), at: UInt64(i)))] += 1 }
      #expect(deviation(counts, expected: 1000) < 4, "\(n)")
    }
  }

  /// Two thirds of 2^64: a third of the numbers is one too many. Without drawing again, the lower
  /// half would come twice as often.
  @Test func whatIsOneTooManyIsDrawnAgain() {
    let random = Philox(key: 3), n = UInt64.max / 3 * 2
    var counts = [0, 0]
    for i in 0..<100_000 as Range<UInt64> { counts[random.below(n, at: i) < n / 2 ? 0 : 1] += 1 }
    #expect(deviation(counts, expected: 50_000) < 4)
  }

  // MARK: permutations

  @Test func allSmallPermutationsAreOnes() {
    for n in 1...200 as ClosedRange<UInt64> {
      for key in 0..<5 as Range<UInt64> {
        let order = Permutation(n, Philox(key: key))
        #expect(Set((0..<n).map { order[$0] }) == Set(0..<n), "\(n)")
      }
    }
  }

  @Test(arguments: [1000, 1023, 1024, 1025, 4096, 4097, 100_003] as [UInt64])
  func largerOnesToo(_ n: UInt64) {
    let order = Permutation(n, Philox(key: 7))
    var seen = [Bool](repeating: false, count: Int(n))
    for i in 0..<n { seen[Int(order[i])] = true }
    #expect(seen.allSatisfy { $0 })
  }

  @Test func hugeOnesStayInRange() {
    for n in [1 << 31, (1 << 32) + 1, (1 << 61) + 1, (1 << 62) - 1, 1 << 62] as [UInt64] {
      let order = Permutation(n, Philox(key: 5))
      let ends = (0..<500 as Range<UInt64>).flatMap { [order[$0], order[n - 1 - $0]] }
      #expect(Set(ends).count == 1000 && ends.allSatisfy { $0 < n }, "\(n)")
    }
  }

  @Test(arguments: [2, 3, 5, 8, 13, 33, 60, 128, 200])
  func everyItemIsEverywhereEquallyOften(_ n: Int) {
    let draws = 300 * n
    var counts = [Int](repeating: 0, count: n * n)
    for key in 0..<draws {
      let order = Permutation(UInt64(n), Philox(key: UInt64(key)).child(1))
      for i in 0..<n { counts[i * n + Int(order[UInt64(i)])] += 1 }
    }
    // Rows and columns have given sums: (n - 1)^2 degrees of freedom.
    #expect(deviation(counts, expected: 300, freedom: (n - 1) * (n - 1)) < 4)
  }

  @Test(arguments: [3, 4, 5, 6])
  func allOrdersOfAFewItemsAreEquallyLikely(_ n: Int) {
    let orders = (1...n).reduce(1, *)
    var counts: [Int: Int] = [:]
    for key in 0..<(300 * orders) {
      let order = Permutation(UInt64(n), Philox(key: UInt64(key)).child(2))
      counts[(0..<n).reduce(0) { $0 * 10 + Int(order[UInt64($1)]) }, default: 0] += 1
    }
    #expect(counts.count == orders)
    #expect(deviation(Array(counts.values), expected: 300) < 4)
  }

  /// Which two items share a batch of eight.
  @Test func pairsAreEquallyLikely() {
    let n = 40, draws = 20_000
    var counts = [Int](repeating: 0, count: n * n)
    for key in 0..<draws {
      let order = Permutation(UInt64(n), Philox(key: UInt64(key)).child(3))
      let batch = (0..<8).map { Int(order[$0]) }
      for a in batch { for b in batch where a < b { counts[a * n + b] += 1 } }
    }
    let pairs = (0..<(n * n)).filter { $0 / n < $0 % n }.map { counts[$0] }
    let expected = Double(draws * 28) / Double(pairs.count)
    #expect(deviation(pairs, expected: expected) < 4)
  }

  @Test func keysGiveOrdersOfTheirOwn() {
    for n in [20, 200, 2000] as [UInt64] {
      let orders = (0..<50 as Range<UInt64>).map { key in
        let order = Permutation(n, Philox(key: key))
        return (0..<n).map { order[$0] }
      }
      #expect(Set(orders).count == 50)
    }
  }

  /// Chi-square, in standard deviations from its mean.
  private func deviation(_ counts: [Int], expected: Double, freedom: Int? = nil) -> Double {
    let chi = counts.reduce(0.0) { $0 + (Double($1) - expected) * (Double($1) - expected) }
    let f = Double(freedom ?? counts.count - 1)
    return abs(chi / expected - f) / (2 * f).squareRoot()
  }
}
