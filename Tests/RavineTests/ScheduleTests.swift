import CRavine
import Testing

@testable import Kernels
@testable import Ravine

/// Schedules at their edges. (Whole curves are compared in Tests/reference.)
struct ScheduleTests {
  private func schedule(_ text: String) throws -> StandaloneSchedule {
    try StandaloneSchedule.make(Array(text.utf8))
  }

  /// The values at some steps, to the bit.
  private func expect(_ text: String, _ values: [(step: UInt64, value: Double)]) throws {
    let schedule = try schedule(text)
    for (step, value) in values {
      let found = schedule.value(at: step)
      #expect(found == value, "\(text) at \(step) is \(found), should be \(value)")
    }
  }

  private static let huge: UInt64 = 1 << 53

  @Test func constantIsAlwaysTheSame() throws {
    try expect("constant(0.3)", [(0, 0.3), (1, 0.3), (Self.huge, 0.3), (.max, 0.3)])
    try expect("0.3", [(0, 0.3), (Self.huge, 0.3)])
    try expect("-2k", [(0, -2000), (.max, -2000)])
  }

  @Test func linearGoesFromValueToEnd() throws {
    try expect(
      "linear(1, 0, steps=4)",
      [(0, 1), (1, 0.75), (3, 0.25), (4, 0), (5, 0), (Self.huge, 0), (.max, 0)])
    try expect("linear(0.1, 0.7, steps=3)", [(0, 0.1), (3, 0.7), (4, 0.7)])
    try expect("linear(-1, 1, steps=1)", [(0, -1), (1, 1)])
    try expect("linear(5, 5, steps=7)", [(0, 5), (3, 5), (7, 5)])
    try expect("linear(0, 1, steps=1e15)", [(0, 0), (1, 1e-15), (1_000_000_000_000_000, 1)])
  }

  @Test func stepDropsAtMultiplesOfEvery() throws {
    try expect(
      "step(8, every=3, factor=0.5)", [(0, 8), (2, 8), (3, 4), (5, 4), (6, 2), (300, 0x1p-97)])
    try expect("step(8, every=1, factor=2)", [(0, 8), (1, 16), (2, 32), (2000, .infinity)])
    try expect("step(8, every=3, factor=0)", [(0, 8), (2, 8), (3, 0), (Self.huge, 0)])
    try expect("step(8, every=3, factor=1)", [(Self.huge, 8), (.max, 8)])
    try expect("step(8, every=3)", [(Self.huge, 0)])
    try expect("step(8, every=1e15, factor=0.5)", [(999_999_999_999_999, 8), (Self.huge, 0x1p-6)])
  }

  @Test func multistepDropsFromEachPlaceOn() throws {
    try expect(
      "multistep(8, at=(2, 5), factor=0.5)", [(0, 8), (1, 8), (2, 4), (4, 4), (5, 2), (.max, 2)])
    try expect("multistep(8, at=(0,), factor=0.5)", [(0, 4), (1, 4)])
    try expect("multistep(8, at=(1, 2), factor=0)", [(0, 8), (1, 0), (2, 0)])
  }

  @Test func exponentialIsSmooth() throws {
    try expect("exponential(8, factor=0.5)", [(0, 8), (1, 4), (3, 1), (2000, 0), (Self.huge, 0)])
    try expect("exponential(8, factor=0.25, every=2)", [(0, 8), (1, 4), (2, 2), (.max, 0)])
    try expect("exponential(8, factor=1)", [(0, 8), (.max, 8)])
    try expect("exponential(8, factor=2)", [(1, 16), (Self.huge, .infinity)])
    try expect("exponential(0, factor=0.5)", [(0, 0), (.max, 0)])
  }

  @Test func cosineGoesFromValueToFloor() throws {
    try expect("cosine(1, steps=4)", [(0, 1), (2, 0.5), (4, 0), (5, 0), (Self.huge, 0), (.max, 0)])
    try expect("cosine(1, steps=1)", [(0, 1), (1, 0)])
    try expect("cosine(3, steps=2, floor=-1)", [(0, 3), (1, 1), (2, -1), (9, -1)])
    try expect("cosine(0, steps=2, floor=1)", [(0, 0), (1, 0.5), (2, 1)])
    let down = try schedule("cosine(1, steps=1000)")
    for t in 0..<1000 as Range<UInt64> { #expect(down.value(at: t) > down.value(at: t + 1)) }
  }

  @Test func warmupRisesToTheStartOfEachSchedule() throws {
    for (inner, values) in [
      ("2", [2, 2, 2]), ("constant(2)", [2, 2, 2]), ("linear(2, 0, steps=2)", [2, 1, 0]),
      ("step(2, every=1, factor=0.5)", [2, 1, 0.5]),
      ("multistep(2, at=(1, 2), factor=0.5)", [2, 1, 0.5]), ("exponential(2, 0.5)", [2, 1, 0.5]),
      ("cosine(2, steps=2)", [2, 1, 0]), ("warmup(2, steps=2)", [1, 2, 2]),
    ] as [(String, [Double])] {
      let start = values[0]
      try expect(
        "warmup(\(inner), steps=4)",
        [
          (0, start / 4), (1, start / 2), (3, start), (4, start), (5, values[1]), (6, values[2]),
        ])
      try expect("warmup(\(inner), steps=1)", [(0, start), (1, start), (2, values[1])])
    }
    try expect("warmup(linear(1, 0, steps=4), steps=1e15)", [(0, 1e-15), (Self.huge, 0)])
  }

  /// Beyond the step that a drop comes at, not before.
  @Test func dropsComeAtTheStepForEveryInterval() throws {
    for every in [1, 3, 7, 10, 49, 1000, 999_983] as [UInt64] {
      let schedule = try schedule("step(1, every=\(every), factor=0.5)")
      for k in 1...20 as ClosedRange<UInt64> {
        #expect(schedule.value(at: k * every - 1) == Math.pow(0.5, Double(k - 1)))
        #expect(schedule.value(at: k * every) == Math.pow(0.5, Double(k)))
      }
    }
  }

  @Test func wrongArgumentsAreRefused() {
    for (text, fragment) in [
      ("", "expected a schedule or a number, found the end"), ("nope(1)", "there is no 'nope'"),
      ("sgd", "expected a schedule or a number, but sgd is a rule"),
      ("1 2", "expected the end of the schedule, found '2'"), ("1e999", "too large"),
      ("inf", "constant.value is inf"), ("constant", "constant needs 'value'"),
      ("linear(1, 2)", "linear needs 'steps'"),
      ("linear(1, 2, 0)", "linear.steps is 0, which is outside [1, "),
      ("linear(1, 2, 0.5)", "linear.steps is 0.5"), ("linear(1, 2, -3)", "linear.steps is -3"),
      ("linear(1, 2, inf)", "linear.steps is inf"),
      ("linear(1, 2, 2e15)", "linear.steps is 2000000000000000"),
      ("cosine(1, 1.5)", "cosine.steps is 1.5, which is not a whole number"),
      ("cosine(inf, 5)", "cosine.value is inf"), ("step(1, 0)", "step.every is 0"),
      ("step(1, 2, -1)", "step.factor is -1"), ("exponential(1, 0)", "exponential.factor is 0"),
      ("exponential(1, 0.5, 0)", "exponential.every is 0"),
      ("exponential(1, 0.5, -1)", "exponential.every is -1"),
      ("multistep(1, ())", "multistep.at needs one number at least"),
      ("multistep(1, (2, 1))", "at must rise, but 1 follows 2"),
      ("multistep(1, (1,), factor=-1)", "multistep.factor is -1"),
      ("warmup(steps=5)", "warmup needs 'schedule'"), ("warmup(1)", "warmup needs 'steps'"),
      ("warmup(1, steps=0)", "warmup.steps is 0"), ("warmup(sgd, 5)", "but sgd is a rule"),
      ("constant(linear(1, 2, 3))", "expected a number for constant.value"),
    ] {
      let error = failure { _ = try schedule(text) }
      let message = error?.message.string ?? "no error"
      #expect(error?.status == RVN_ERR_RECIPE && message.hasPrefix("schedule:1:"), "\(text)")
      #expect(message.contains(fragment), "\(text) gives: \(message)")
    }
  }
}

extension Stepping {
  /// A schedule of a hyper-parameter during steps.
  struct ScheduledStepTests {
    @Test func theFirstStepUsesTheValueAtZero() throws {
      let model = try Model("sgd(linear(1, 0, steps=4))")
      try model.add("w", [1])
      var rates: [Double] = []
      for _ in 0..<6 { rates.append(try model.optimizer.step().lr) }
      #expect(rates == [1, 0.75, 0.5, 0.25, 0, 0])
      #expect(model.values(0) == [1 - 0.5 * 2.5])  // the gradient is 0.5
    }

    @Test func aValueThatLeavesItsRangeFailsTheStepAndChangesNothing() throws {
      let model = try Model("sgd(linear(1, -1, steps=2))")
      try model.add("w", [1])
      _ = try model.optimizer.step()
      _ = try model.optimizer.step()
      let before = model.values(0)
      let error = failure { _ = try model.optimizer.step() }
      #expect(error?.status == RVN_ERR_ARGUMENT)
      #expect(error?.message.string == "sgd.lr is -1 at step 2, which is outside [0, inf)")
      #expect(model.values(0) == before && model.optimizer.step == 2)
      try model.optimizer.set(Array("lr".utf8), 1)
      #expect(try model.optimizer.step().step == 3)
    }

    /// State starts where a schedule of `initial_accumulator_value` starts, not at 0.
    @Test func stateStartsAtTheFirstValueOfASchedule() throws {
      let model = try Model("adagrad(initial_accumulator_value=constant(0.25))")
      try model.add("w", [1])
      try model.optimizer.prepare()
      var sum = Float(0)
      try model.optimizer.read(0, "sum", RVN_F32, &sum, 1)
      #expect(sum == 0.25)
    }
  }
}
