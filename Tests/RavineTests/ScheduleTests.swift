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
      let found = try schedule.value(at: step)
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
    for t in 0..<1000 as Range<UInt64> { #expect(try down.value(at: t) > down.value(at: t + 1)) }
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

  /// D12: torch's OneCycleLR takes a step past its end, and rises there.
  @Test func oneCycleStaysDownPastItsEnd() throws {
    for text in [
      "one_cycle(1, 10)", "one_cycle(1, 10, three_phase=1)", "one_cycle(1, 10, compat=optax)",
    ] {
      let cycle = try schedule(text), last = 1 / 25 / 1e4
      for t in [10, 11, 12, Self.huge, .max] { #expect(try cycle.value(at: t) == last, "\(text)") }
      let peak = try cycle.peak(StepRange(0, 20)).value
      #expect(peak == 1 || !text.contains("optax"))
    }
    try expect("one_cycle(1, steps=1)", [(0, 1 / 25 / 1e4), (1, 1 / 25 / 1e4)])
    try expect("one_cycle(1, steps=8, warmup=1)", [(7, 1), (8, 1 / 25 / 1e4)])
  }

  /// D13: torch's LinearLR with no iterations stays at its start, and ConstantLR divides by 0.
  @Test func partsWithoutLengthAreNeverSeen() throws {
    try expect("warmup(linear(2, 0, 2), steps=0)", [(0, 2), (1, 1), (2, 0)])
    try expect("warmup(2, steps=0, compat=optax)", [(0, 2), (1, 2)])
    try expect("sequence((1, 2, 3), at=(0, 0))", [(0, 3), (1, 3)])
    try expect("piecewise(1, at=(0, 2), values=(0, 5))", [(0, 0), (1, 0), (2, 5), (.max, 5)])
    try expect(
      "piecewise(1, (2, 2, 4), (0, 8, 4), linear)", [(0, 1), (1, 0.5), (2, 8), (3, 6), (4, 4)])
    try expect("wsd(2, steps=2, warmup=0, decay=0)", [(0, 2), (1, 2), (2, 2), (.max, 2)])
    try expect("wsd(2, steps=2, warmup=2, decay=0, floor=1)", [(0, 1), (1, 2), (2, 2)])
    try expect("wsd(2, steps=2, warmup=0, decay=2, floor=1)", [(0, 2), (1, 1.5), (2, 1)])
    try expect(
      "cosine_restarts(2, steps=2, warmup=2, multiplier=2)",
      [(0, 1), (1, 2), (2, 1), (3, 2), (4, 2), (5, 1)])
    try expect("product((0, 3))", [(0, 0)])
  }

  /// D14: torch and transformers rise again past the end of a cosine; here that is asked for.
  @Test func cosinesRestOnTheirFloor() throws {
    for text in [
      "cosine(1, 4, floor=0.25)", "cosine(1, 4, 0.25, exponent=3)", "k_decay(1, 4, 2, 0.25)",
    ] {
      try expect(text, [(4, 0.25), (5, 0.25), (8, 0.25), (.max, 0.25)])
    }
    try expect("cosine(1, steps=4, compat=torch)", [(4, 0), (8, 1), (12, 0)])
  }

  /// D7: pytorch_optimizer's polynomial grows without bound.
  @Test func polynomialEndsAtItsEnd() throws {
    try expect("polynomial(4, steps=4, power=2)", [(0, 4), (2, 1), (4, 0), (5, 0), (.max, 0)])
    try expect("polynomial(4, 4, end=2, cycle=1)", [(0, 4), (4, 2), (5, 2.75), (8, 2), (9, 2.5)])
  }

  /// D8: pytorch_optimizer's decay goes below its floor, and jumps up to it in the end.
  @Test func theFloorHoldsThroughTheDecay() throws {
    for tail in ["linear", "cosine", "sqrt", "square"] {
      let wsd = try schedule("wsd(1, 104, warmup=2, decay=100, floor=0.1, tail=\(tail))")
      for t in 4..<120 as Range<UInt64> {
        #expect(
          try wsd.value(at: t) >= wsd.value(at: t + 1) && wsd.value(at: t) >= 0.1, "\(tail) \(t)")
      }
    }
  }

  /// D9: timm's milestones are a step early; D10: its warm-up overlaps and never reaches the rate.
  @Test func boundariesAndWarmUpsAreWhereTheySay() throws {
    try expect("multistep(1, at=(3,), factor=0.5)", [(2, 1), (3, 0.5)])
    try expect("multistep(1, at=(3,), factor=0.5, compat=timm)", [(1, 1), (2, 0.5)])
    try expect("piecewise(1, (3,), (0.5,))", [(2, 1), (3, 0.5)])
    try expect("piecewise(1, (3,), (0.5,), compat=keras)", [(3, 1), (4, 0.5)])
    try expect(
      "warmup(cosine(1, steps=6), steps=2, compat=optax)", [(0, 0), (1, 0.5), (2, 1), (8, 0)])
    try expect("warmup(1, steps=4)", [(0, 0.25), (3, 1), (4, 1)])
    try expect("warmup(1, steps=4, compat=optax)", [(0, 0), (3, 0.75), (4, 1)])
    // W = T
    try expect("over(4, warmup(1, steps=100%))", [(0, 0.25), (3, 1), (4, 1)])
  }

  @Test func restartsComeAtTheirStepForEveryMultiplier() throws {
    for multiplier in [1, 2, 3, 10] as [UInt64] {
      let restarts = try schedule(
        "cosine_restarts(1, steps=7, multiplier=\(multiplier), decay=0.5)")
      var start: UInt64 = 0, length: UInt64 = 7
      for k in 0..<12 {
        #expect(try restarts.value(at: start) == Math.pow(0.5, Double(k)), "\(multiplier) \(k)")
        if start > 0 { #expect(try restarts.value(at: start - 1) < Math.pow(0.5, Double(k))) }
        (start, length) = (start + length, length * multiplier)
      }
    }
    try expect("cosine_restarts(1, 2, floor=0.25, limit=2)", [(2, 1), (4, 0.25), (.max, 0.25)])
  }

  @Test func algebraAtItsEdges() throws {
    let line = "linear(4, 0, steps=4)"
    try expect("shift(\(line), 2)", [(0, 4), (2, 4), (3, 3), (6, 0), (.max, 0)])
    try expect("shift(\(line), -2)", [(0, 2), (2, 0)])
    try expect("cycle(\(line), 3)", [(0, 4), (2, 2), (3, 4), (299, 2), (300, 4)])
    try expect("cycle(\(line), 4, limit=2)", [(3, 1), (4, 4), (7, 1), (8, 0), (.max, 0)])
    try expect("mirror(\(line), 4)", [(0, 0), (1, 1), (4, 4), (5, 4), (.max, 4)])
    try expect(
      "mirror(\(line), 4, symmetric)", [(0, 4), (3, 1), (4, 0), (5, 1), (8, 4), (.max, 4)])
    try expect("clamp(\(line), 1, 3)", [(0, 3), (2, 2), (4, 1)])
    try expect("scale(\(line), -1)", [(0, -4), (4, 0)])
    try expect("total((\(line), 1, \(line)))", [(0, 9), (4, 1)])
    try expect("product((\(line), 2, \(line)))", [(0, 32), (4, 0)])
    try expect("per_epoch(10, \(line))", [(0, 4), (9, 4), (10, 3), (40, 0)])
    try expect("per_epoch(10, \(line), smooth=1)", [(0, 4), (5, 3.5), (10, 3), (40, 0)])
    try expect("over(2, \(line))", [(1, 3), (2, 2), (3, 2)])
    try expect("over(2, \(line), repeat)", [(1, 3), (2, 4), (3, 3)])
    let ended = try schedule("over(2, clamp(\(line), 1, 9), error)")
    #expect(try ended.value(at: 1) == 3 && ended.value(at: 2).isNaN && ended.value(at: .max).isNaN)
    let inside = try schedule("clamp(total((1, over(2, \(line), error))), low=0)")
    #expect(try inside.value(at: 1) == 4 && inside.value(at: 2).isNaN)
  }

  /// 29% of 100 is 29, though 0.29 * 100 is 28.999999999999996.
  @Test func sharesAreTheNearestWholeNumber() throws {
    for (text, steps) in [
      ("over(100, cosine(1, 29%))", 29), ("over(3, cosine(1, 50%))", 2),
      ("over(7, cosine(1, 100%))", 7),
      ("over(1k, per_epoch(10, cosine(1, 7%)))", 7), ("over(9k, over(50, cosine(1, 10%)))", 5),
      ("over(100, cycle(sequence((cosine(1, 10%), 1), at=(20%,)), 30%))", 10),
    ] {
      #expect(
        try schedule(text).text().string.contains("cosine(value=1, steps=\(steps), "), "\(text)")
    }
    #expect(try schedule("wsd(1, 200, 20%, 5%)").text().string.contains("decay=40, warmup=10,"))
  }

  /// Beyond the step that a drop comes at, not before.
  @Test func dropsComeAtTheStepForEveryInterval() throws {
    for every in [1, 3, 7, 10, 49, 1000, 999_983] as [UInt64] {
      let schedule = try schedule("step(1, every=\(every), factor=0.5)")
      for k in 1...20 as ClosedRange<UInt64> {
        #expect(try schedule.value(at: k * every - 1) == Math.pow(0.5, Double(k - 1)))
        #expect(try schedule.value(at: k * every) == Math.pow(0.5, Double(k)))
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
      ("warmup(1, steps=-1)", "warmup.steps is -1"), ("warmup(sgd, 5)", "but sgd is a rule"),
      ("constant(linear(1, 2, 3))", "expected a number for constant.value"),
      ("warmup(1, 5, start=2)", "warmup.start is 2"),
      ("warmup(1, 5, cosin)", "did you mean 'cosine'?"),
      ("piecewise(1, at=(2, 5), values=(1,))", "at has 2 steps and values 1 values"),
      ("piecewise(1, (5, 2), (1, 1))", "piecewise: at must not fall, but 2 follows 5"),
      ("sequence((1, 2), at=(1, 2))", "2 schedules need 1 boundaries, but at has 2"),
      ("sequence((1, 2, 3), (5, 4))", "sequence: at must not fall, but 4 follows 5"),
      ("sequence((1, 2), (-1,))", "sequence.at is -1"),
      ("sequence((1, sgd), (1,))", "but sgd is a rule"),
      ("sequence(1, (1,))", "expected schedules in parentheses for sequence.schedules"),
      ("product(())", "product.schedules needs one schedule at least"),
      ("total((1 2))", "expected ',' or ')'"), ("total((cosine(1),))", "cosine needs 'steps'"),
      ("polynomial(1, steps=5, power=0)", "polynomial.power is 0"),
      ("inverse_time(1, -1)", "inverse_time.rate is -1"), ("noam(1, dim=0)", "noam.dim is 0"),
      ("noam(1, 512, warmup=0)", "noam.warmup is 0"), ("k_decay(1, 5, k=0)", "k_decay.k is 0"),
      ("tanh_decay(1, 5, lower=3, upper=-7)", "lower is 3, which is not below upper, which is -7"),
      ("cosine_restarts(1, 5, multiplier=0.5)", "cosine_restarts.multiplier is 0.5"),
      ("cosine_restarts(1, 5, warmup=6)", "warmup is 6, longer than the first cycle of 5 steps"),
      ("cosine_restarts(1, 5, limit=0)", "cosine_restarts.limit is 0"),
      (
        "wsd(1, 10, warmup=6, decay=5)", "warmup 6 and decay 5 are more than the 10 steps there are"
      ),
      ("wsd(1, 10, warmup=-1, decay=5)", "wsd.warmup is -1"),
      (
        "wsd(1, warmup=5%, steps=10, decay=5)",
        "warmup is 5%, a share of steps that are not known here; give steps before it"
      ),
      ("one_cycle(1, 10, 1.5)", "one_cycle.warmup is 1.5"),
      ("one_cycle(1, 10, 60%, three_phase=1)", "warmup is 0.6, and three_phase falls as long; 0.5"),
      ("one_cycle(1, 10, three_phase=1, compat=optax)", "optax has no three_phase"),
      ("cyclic(1, 2, up=0)", "cyclic.up is 0"), ("cyclic(1, 2, 5, factor=0)", "cyclic.factor is 0"),
      ("clamp(1, low=2, high=1)", "low is 2, which is above high, which is 1"),
      ("cycle(1, steps=0)", "cycle.steps is 0"), ("mirror(1, 5, shape=both)", "not 'both'"),
      ("shift(1, steps=1.5)", "shift.steps is 1.5"),
      ("per_epoch(0, 1)", "per_epoch.steps_per_epoch is 0"),
      (
        "over(100, warmup(1, steps=200))",
        "warmup.steps is 200, longer than the 100 steps there are"
      ),
      (
        "over(1k, per_epoch(100, warmup(1, 11)))",
        "warmup.steps is 11, longer than the 10 steps there are"
      ),
      ("over(10, cosine(1, steps=1%))", "cosine.steps is 0"),
      (
        "over(schedule=cosine(1, 5%), steps=10)",
        "cosine.steps is 5%, a share of steps that are not known here; put over("
      ),
      ("cosine(1, steps=5%)", "put over(steps=..., schedule=...) around it"),
      ("multistep(1, at=(5%, 10))", "multistep.at is 5%"), ("over(0, 1)", "over.steps is 0"),
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

    @Test func aScheduleThatEndsFailsTheStepAndChangesNothing() throws {
      let model = try Model("sgd(0.1, momentum=over(2, 0.9, error))")
      try model.add("w", [1])
      _ = try model.optimizer.step()
      _ = try model.optimizer.step()
      let before = model.values(0)
      let error = failure { _ = try model.optimizer.step() }
      #expect(error?.status == RVN_ERR_ARGUMENT)
      #expect(
        error?.message.string
          == "sgd.momentum has no value at step 2: its schedule ended, or overflows 64 bits")
      #expect(model.values(0) == before && model.optimizer.step == 2)
      try model.optimizer.set(Array("momentum".utf8), 0.5)
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
