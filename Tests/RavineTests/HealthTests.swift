import CRavine
import CShims
import Kernels
import Testing

@testable import Ravine

/// The monitor's parts, and what only an optimizer can tell it.
struct HealthTests {
  // MARK: statistics

  @Test func statisticsOfPartsMergeIntoThoseOfTheWhole() {
    var random = Random(state: 3)
    var numbers = (0..<5000).map { _ in
      (random.unit() - 0.5) * Math.exp(80 * (random.unit() - 0.5))
    }
    numbers[700] = 0
    numbers[4321] = .nan
    numbers[4322] = -Double.infinity
    for cut in [0, 1, 700, 4321, 4322, 4999, 5000] {
      let whole = statistics(numbers)
      var merged = statistics(Array(numbers[..<cut]))
      merged.merge(statistics(Array(numbers[cut...])))
      #expect(merged.count == 5000 && merged.nonfinite == 2 && merged.nans == 1)
      #expect(merged.firstNonfinite == 4321 && merged.zeros == 1)
      #expect(merged.largest == whole.largest && merged.largestIndex == whole.largestIndex)
      #expect(merged.smallest == whole.smallest)
      #expect(merged.low == whole.low && merged.high == whole.high)
      #expect(merged.negatives == whole.negatives)
      #expect(abs(merged.norm2 / whole.norm2 - 1) < 1e-14)
      #expect(abs(merged.absolutes / whole.absolutes - 1) < 1e-13)
    }
  }

  @Test func normsAreRightAtTheEndsOfTheRange() {
    for size in [1e-320, 1e-200, 1e-160, 1, 1e160, 1e200, 1e307] {
      let norm = statistics([Double](repeating: size, count: 100)).norm2
      #expect(abs(norm / (10 * size) - 1) < (size < 1e-300 ? 1e-3 : 1e-14), "\(size)")
    }
    #expect(statistics([3e200, 4e-200]).norm2 == 3e200)
    #expect(statistics([3e-200, 4]).norm2 == 4)
    #expect(statistics([]).norm2 == 0)
    #expect(statistics([.nan]).norm2 == 0)
  }

  private func statistics(_ numbers: [Double]) -> Statistics {
    var s = Statistics()
    numbers.withUnsafeBufferPointer {
      if let base = $0.baseAddress { s.add(base, $0.count, at: 0, smallestNormal: 0x1p-126, nil) }
    }
    return s
  }

  // MARK: robust numbers

  @Test func medianAndDeviationIgnoreAFewWildValues() {
    var x: [Double] = (0..<99).map { Double($0 * 37 % 99) }
    x[5] = 1e300
    x[50] = -1e300
    x.withUnsafeMutableBufferPointer {
      let base = $0.baseAddress!
      let median = Robust.median(base, 99)
      #expect(median == 48)
      #expect(abs(Robust.deviation(base, 99, from: median) - 1.4826 * 25) < 1.5)
      #expect(Robust.median(base, 0).isNaN)
    }
  }

  @Test func slopeAndTrend() {
    let x = (0..<40).map(Double.init)
    var y = x.map { 3 - 0.25 * $0 }
    y[3] = 1e9
    y[30] = -1e9
    var scratch = [Double](repeating: 0, count: 1000)
    #expect(abs(Robust.slope(x, y, 40, &scratch) + 0.25) < 1e-12)
    #expect(Robust.trend(x, 40) > 8 && Robust.trend(x.reversed(), 40) < -8)
    #expect(Robust.trend([1, 1, 1, 1], 4) == 0 && Robust.trend([1], 1) == 0)
  }

  @Test func nothingThatIsNotFiniteEntersAWindow() {
    var memory = [Double](repeating: 0, count: 4), scratch = memory
    memory.withUnsafeMutableBufferPointer {
      var window = Window($0.baseAddress!, 4)
      let all: [Double] = [1, .nan, 2, .infinity, 3, -Double.infinity, 4, 5, 6]
      for x in all { window.push(x) }
      #expect(window.count == 4)
      #expect(window.copy(to: &scratch) == 4 && scratch == [3, 4, 5, 6])
      #expect(window.copy(last: 2, to: &scratch) == 2 && scratch[0] == 5 && scratch[1] == 6)
      #expect(window.median(&scratch) == 4.5 && window.mean(&scratch) == 4.5)
    }
  }

  @Test func shortNumbers() {
    let known: [(Double, String)] = [
      (0, "0"), (1, "1"), (-1.5, "-1.5"), (0.0123, "0.0123"), (0.001, "0.001"), (999.6, "1000"),
      (123_456, "123000"), (1_234_567, "1.23e+06"), (1.23e-5, "1.23e-05"), (9.999e-4, "0.001"),
      (2.5e-300, "2.5e-300"), (41.2345, "41.2"), (1e10, "1e+10"), (.nan, "nan"),
      (-Double.infinity, "-inf"),
      (0.1, "0.1"), (5e-324, "4.94e-324"),
    ]
    for (x, text) in known { #expect(short(x).string == text) }
  }

  @Test func controlCharactersAreNotShown() {
    #expect(shown("a\u{9b}31m\u{202e}b\u{2066}ü").string == "a?31m?b?ü")
  }

  @Test func theHistoryKeepsTheWholeCourse() {
    var memory = [Double](repeating: 0, count: LossHistory.capacity)
    memory.withUnsafeMutableBufferPointer {
      var history = LossHistory($0.baseAddress!)
      for i in 0..<10_000 { history.push(Double(i)) }
      history.push(.nan)
      #expect(history.steps == 10_000 && history.first == 0 && history.last == 9999)
      #expect(history.count >= 128 && history.count < 256)
      for i in 0..<history.count {
        #expect(abs(history[i] - (Double(i * history.span) + Double(history.span - 1) / 2)) < 1e-6)
      }
    }
  }

  // MARK: what an optimizer tells

  @Test func theMagnitudeIsNoFaultWhereTheRuleNormalizes() throws {
    let plain = try findings(vanishing: false, eps: .nan)
    #expect(plain["vanishing"] == .severe)
    let normalized = try findings(vanishing: true, eps: 0)
    #expect(normalized["vanishing"] == .note)
    let drowned = try findings(vanishing: true, eps: 0.6)
    #expect(drowned["vanishing"] == .severe && drowned["eps_dominated"] == .warn)
  }

  /// Ten layers whose bias gradients shrink by one quarter.
  private func findings(vanishing normalizes: Bool, eps: Double) throws -> [String: Severity] {
    let monitor = try Monitor.make(ravine_allocator())
    for _ in 0..<40 {
      for layer in 0..<10 {
        var facts = TensorFacts()
        facts.normalizes = normalizes
        facts.rank = 1
        facts.count = 3
        let size = Math.exp(Double(layer - 9) * 1.3863)
        facts.epsDominated = eps
        try take(
          facts, statistics([size, -size, 2 * size]), "b\(layer)", monitor, depth: Int64(layer))
      }
      try monitor.endStep(loss: nil)
    }
    return try severities(monitor)
  }

  @Test func clippingThatAlwaysActsIsTold() throws {
    for (share, normalizes, expected) in [
      (0.05, false, nil), (0.3, false, Severity.note), (0.8, false, .warn), (0.8, true, .note),
    ] as [(Double, Bool, Severity?)] {
      let monitor = try Monitor.make(ravine_allocator())
      for step in 0..<100 {
        var facts = TensorFacts(), whole = StepFacts()
        facts.normalizes = normalizes
        facts.count = 2
        try take(facts, statistics([1, 2]), "w", monitor)
        whole.clipScale = Double(step) < 100 * share ? 0.25 : 1
        whole.lr = 0.1
        monitor.take(whole)
        try monitor.endStep(loss: 1)
      }
      #expect(try severities(monitor)["clip_always"] == expected, "\(share) \(normalizes)")
    }
  }

  @Test func swallowedAndStepSizesComeFromFactsToo() throws {
    let monitor = try Monitor.make(ravine_allocator())
    for _ in 0..<30 {
      var facts = TensorFacts()
      facts.count = 4
      facts.swallowed = 0.7
      facts.weightRMS = 1
      facts.updateRMS = 0.5
      try take(facts, nil, "w", monitor)
      try monitor.endStep(loss: nil)
    }
    let found = try severities(monitor)
    #expect(found["swallowed"] == .severe && found["step_too_large"] == .severe)
  }

  private func take(
    _ facts: TensorFacts, _ gradient: Statistics?, _ name: String, _ monitor: Monitor,
    depth: Int64 = -1
  ) throws {
    let (index, track) = try Array(name.utf8).withUnsafeBufferPointer {
      try monitor.prepare(
        $0, depth, .gradient, RVN_F32, rank: facts.rank, count: facts.count, units: 0, time: -1)
    }
    if let gradient {
      withUnsafePointer(to: gradient) { monitor.take(facts, $0, index, track) }
    } else {
      monitor.take(facts, nil, index, track)
    }
  }

  private func severities(_ monitor: Monitor) throws -> [String: Severity] {
    let inquiry = try Inquiry.make(monitor)
    try inquiry.run()
    var out: [String: Severity] = [:]
    for finding in inquiry.findings.reversed() { out["\(finding.code)"] = finding.severity }
    return out
  }

  // MARK: declarations

  @Test func everyCodeIsDeclaredInFull() {
    let judges = allJudges()
    let codes = judges.map { "\($0.declaration.code)" }
    #expect(
      Set(codes) == [
        "non_finite", "exploding", "vanishing", "spike", "growth", "step_too_large",
        "step_too_small", "swallowed", "eps_dominated", "clip_always", "dead", "saturated",
        "bouncing", "plateau", "noise", "vanishing_through_time", "exploding_through_time",
      ])
    for d in judges.map(\.declaration) {
      for text in [d.title, d.summary, d.needs, d.advice, d.source] { #expect(!"\(text)".isEmpty) }
      for limit in d.limits {
        #expect(
          limit.initial >= limit.low && limit.initial <= limit.high, "\(d.code).\(limit.name)")
        #expect(!"\(limit.summary)".isEmpty && !"\(limit.source)".isEmpty)
      }
    }
  }
}
