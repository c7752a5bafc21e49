import CRavine
import Testing

@testable import Kernels
@testable import Ravine

/// Questions about schedules, and schedules that came with them, at their edges.
struct QuestionTests {
  private func schedule(_ text: String) throws -> StandaloneSchedule {
    try StandaloneSchedule.make(Array(text.utf8))
  }

  private func values(_ text: String, _ count: UInt64) throws -> [Double] {
    let s = try schedule(text)
    return try (0..<count).map { (step) throws in try s.value(at: step) }
  }

  @Test func everyScheduleHasAnExampleOfItself() throws {
    let catalog = try Catalog.shared()
    for d in catalog.entries.map(\.declaration) where d.kind == .schedule {
      let example = d.example.description
      #expect(example.hasPrefix("\(d.name)("))
      let span = try schedule(example).span()
      #expect(span >= 40 && span <= 200, "\(example) spans \(span)")
    }
  }

  @Test func spansAddUpLengths() throws {
    for (text, span) in [
      ("0.1", 100), ("cosine(1, steps=30)", 30), ("warmup(cosine(1, steps=30), steps=5)", 35),
      ("over(200, warmup(cosine(1, steps=95%), steps=5%))", 200),
      ("sequence((1, cosine(1, steps=40)), at=(10,))", 52), ("shift(cosine(1, 30), -10)", 20),
      ("product((cosine(1, 30), linear(1, 0, 50)))", 50), ("cycle(linear(1, 0, 10), 10)", 30),
      ("cycle(linear(1, 0, 10), 10, limit=2)", 20), ("per_epoch(10, cosine(1, 30))", 300),
      ("exponential(1, factor=1)", 100), ("inverse_time(1, rate=0)", 100),
      ("cosine_restarts(1, 10, multiplier=2)", 70), ("cyclic(0, 1, up=3, down=4)", 21),
      ("mirror(1, 9, symmetric)", 18), ("cosine(1, steps=1e15)", 1_000_000_000_000_000),
      ("per_epoch(1e15, cosine(1, 1e15))", 100),
    ] as [(String, UInt64)] {
      #expect(try schedule(text).span() == span, "\(text)")
    }
  }

  @Test func numbersForTheEyeHaveFourDigits() {
    for (x, text) in [
      (0, "0"), (-0.0, "0"), (0.1, "0.1"), (0.30000000000000004, "0.3"), (1.0 / 3, "0.3333"),
      (-2.0 / 3, "-0.6667"), (12346, "12350"), (99999, "100000"), (123_456_789, "1.235e+08"),
      (9.9996e-5, "0.0001"),
      (1e15, "1e+15"), (5e-324, "5e-324"), (-1.7976931348623157e308, "-1.798e+308"),
      (-1.2345e-308, "-1.235e-308"), (99_999_999, "1e+08"),
      (.infinity, "inf"),
    ] as [(Double, String)] {
      let found = brief(x).string
      #expect(
        Double(found) == Double(text) && found.utf8.count <= text.utf8.count, "\(x) is \(found)")
    }
  }

  @Test func chebyshevTakesEachNodeOnceInACycle() throws {
    for order in 0..<8 as Range<UInt64> {
      let n: UInt64 = 1 << order, cycle = try values("chebyshev(1, order=\(order))", n)
      let nodes = (0..<n).map { (i: UInt64) in
        1 / (0.525 - 0.475 * Math.cos(.pi * ((Double(i) + 0.5) / Double(n))))
      }
      #expect(Set(cycle) == Set(nodes) && Set(nodes).count == Int(n), "order \(order)")
      #expect(try values("chebyshev(1, order=\(order))", 2 * n) == cycle + cycle)
    }
    let far = try schedule("chebyshev(1, order=30)")
    for t in [1 << 53, UInt64.max] { #expect(try far.value(at: t) > 0) }
  }

  @Test func logarithmicWarmUpsAtTheirEdges() throws {
    let half = Math.log(2) / Math.log(3)
    #expect(try values("warmup(1, steps=2, shape=log)", 4) == [half, 1, 1, 1])
    #expect(try values("warmup(1, steps=1, shape=log)", 2) == [1, 1])
    #expect(try values("warmup(1, steps=0, shape=log)", 2) == [1, 1])
    #expect(try values("warmup(1, steps=2, shape=log, compat=optax)", 4) == [0, 1, 1, 1])
    #expect(try values("warmup(1, steps=1, shape=log, compat=optax)", 3) == [0, 1, 1])
    let start = try values("warmup(2, steps=4, shape=log, start=0.5, compat=optax)", 5)
    #expect(start[0] == 1 && start[3] == 2 && start[4] == 2)
  }

  @Test func exponentialTailsAtTheirEdges() throws {
    #expect(
      try values("wsd(1, 4, decay=2, floor=0.25, tail=exponential)", 7)
        == [1, 1, 1, 0.5, 0.25, 0.25, 0.25])
    #expect(try values("wsd(-4, 2, decay=2, floor=-1, tail=exponential)", 3) == [-4, -2, -1])
    #expect(try values("wsd(1, 2, decay=0, floor=0.5, tail=exponential)", 4) == [1, 1, 1, 1])
    for (floor, value) in [("0", "1"), ("-1", "1"), ("1", "-1"), ("1", "0")] {
      let said = sentence {
        _ = try schedule("wsd(\(value), 9, 3, floor=\(floor), tail=exponential)")
      }
      #expect(said.contains("value is \(value), floor is \(floor)"), "\(said)")
    }
  }

  @Test func sinesMeetTheLinesAtTopAndBottom() throws {
    let sine = try values("cyclic(1, 3, up=6, shape=sine)", 25)
    #expect(sine[0] == 1 && sine[6] == 3 && sine[12] == 1 && sine[18] == 3 && sine[24] == 1)
    for t in 0..<6 { #expect(sine[t] < sine[t + 1] && sine[t] == sine[12 - t]) }
  }

  /// D14 and the rows of reference 2: one step past what another library does there.
  @Test func whereOthersBreakTheseDoNot() throws {
    // transformers' cosine with a floor gets there a step early, and rises again.
    let floor = try values("warmup(cosine(1, steps=4, floor=0.1), steps=2)", 30)
    #expect(floor[5] > 0.1 && floor[6...].allSatisfy { $0 == 0.1 })
    // ParameterSchedulers.jl has no value past the end of a polynomial.
    #expect(try values("polynomial(1, steps=3)", 6) == [1, 1 - 1.0 / 3, 1 - 2.0 / 3, 0, 0, 0])
    // transformers' hard restarts need the number of cycles, and are 0 at the end.
    #expect(try values("cosine_restarts(1, steps=2)", 5) == [1, 0.5, 1, 0.5, 1])
    // torch's LinearLR with no iterations stays at its first factor for ever (D13).
    #expect(try values("warmup(linear(1, 0, steps=2), steps=0, start=0.5)", 3) == [1, 0.5, 0])
    // torch's SequentialLR starts the next scheduler from its closed form at 0 (so does this) ...
    let joined = "sequence((warmup(1, steps=2), exponential(1, factor=0.5)), at=(2,))"
    #expect(try values(joined, 5) == [0.5, 1, 1, 0.5, 0.25])
    // ... but its ChainedScheduler depends on the order where one of them has a floor.
    let one = "cosine(1, steps=4, floor=0.5)", other = "step(1, every=2, factor=0.5)"
    #expect(
      try values("product((\(one), \(other)))", 9) == values("product((\(other), \(one)))", 9))
  }
}
