import CRavine
import CShims
import Testing

@testable import Kernels
@testable import Ravine

/// Schedules that a metric moves. (Whole runs are compared in Tests/reference.)
struct ReactiveTests {
  private func scales(_ text: String, _ metrics: [Double]) throws -> [Double] {
    let schedule = try StandaloneSchedule.make(Array(text.utf8))
    return [try schedule.value(at: 0)]
      + (try metrics.map {
        _ = try schedule.metric($0)
        return try schedule.value(at: 0)
      })
  }

  private static let flat = [Double](repeating: 1, count: 6)

  /// D19: torch cuts after more than patience metrics, Keras and optax after patience.
  @Test func patienceIsCountedAsTheWordSays() throws {
    #expect(try scales("plateau(1, 0.5, 2)", Self.flat) == [1, 1, 1, 1, 0.5, 0.5, 0.5])
    for compat in ["keras", "optax"] {
      let text = "plateau(1, 0.5, 2, compat=\(compat))"
      #expect(try scales(text, Self.flat) == [1, 1, 1, 0.5, 0.5, 0.25, 0.25])
    }
    #expect(
      try scales("plateau(1, 0.5, 0)", Self.flat) == [1, 1, 0.5, 0.25, 0.125, 0.0625, 0.03125])
  }

  /// optax with patience 0 cuts where the metric gets better, and nowhere else.
  @Test func noPatienceNeverPunishesWhatIsBetter() throws {
    for compat in ["torch", "keras", "optax"] {
      let text = "plateau(1, 0.5, 0, compat=\(compat))"
      #expect(try scales(text, [4, 3, 2, 1]) == [1, 1, 1, 1, 1])
      #expect(try scales(text, [4, 4]) == [1, 1, 0.5])
    }
  }

  /// torch's relative threshold of a negative best metric is on the wrong side of it.
  @Test func theRelativeThresholdIsOfTheMagnitude() throws {
    let close = [-1, -1.05, -0.95, -1.2]
    #expect(try scales("plateau(1, 0.5, 0, rtol=0.1)", close) == [1, 1, 0.5, 0.25, 0.25])
    #expect(
      try scales("plateau(1, 0.5, 0, mode=max, rtol=0.1)", close.map { -$0 }) == [
        1, 1, 0.5, 0.25, 0.25,
      ])
    #expect(
      try scales("plateau(1, 0.5, 0, mode=max, rtol=0.1)", [-1, -0.95, -0.8]) == [1, 1, 0.5, 0.5])
  }

  @Test func theBestIsNeverNotFinite() throws {
    let wild: [Double] = [.nan, -.infinity, .infinity, 3, .nan, 2]
    for average in ["window=1", "window=3", "window=3, average=exponential"] {
      for mode in ["min", "max"] {
        let s = try StandaloneSchedule.make(
          Array("plateau(1, 0.5, 100, mode=\(mode), \(average))".utf8))
        for (k, x) in wild.enumerated() {
          let told = try s.metric(x)
          #expect(told.compared.isNaN == !x.isFinite)
          #expect(
            k < 3 ? told.best == (mode == "min" ? .infinity : -.infinity) : told.best.isFinite)
        }
      }
    }
    #expect(try scales("plateau(1, 0.5, 0)", [.nan, 1, .nan, 0.5]) == [1, 0.5, 0.5, 0.25, 0.25])
    // A best metric that was NaN would be Keras' for ever.
    #expect(
      try scales("plateau(1, 0.5, 1, compat=keras)", [.nan, 3, 2, 1]) == [1, 0.5, 0.5, 0.5, 0.5])
  }

  /// transformers' running sum keeps a NaN, and what a spike rounded away.
  @Test func averagesForgetWhatLeftTheWindow() throws {
    let s = try StandaloneSchedule.make(Array("greedy(1, window=2)".utf8))
    #expect(try s.metric(1).compared == 1)
    #expect(try s.metric(1e300).compared == 5e299)
    _ = try s.metric(.nan)
    #expect(try s.metric(3).compared == 5e299)
    #expect(try s.metric(5).compared == 4)
    for _ in 0..<3 { _ = try s.metric(1.7e308) }
    #expect(try s.metric(1.7e308).compared.isNaN)  // the sum overflows
    _ = try s.metric(2)
    #expect(try s.metric(2).compared == 2)
  }

  @Test func averagesOfThreeKinds() throws {
    func compared(_ average: String, _ metrics: [Double]) throws -> [Double] {
      let s = try StandaloneSchedule.make(Array("plateau(1, window=2, average=\(average))".utf8))
      return try metrics.map { try s.metric($0).compared }
    }
    #expect(try compared("moving", [4, 2, 6]) == [4, 3, 4])
    #expect(try compared("exponential", [4, 1, 1]) == [4, 2, 10.0 / 7])
    let block = try compared("block", [4, 2, 6, .nan, 1, 3])
    #expect(block[0].isNaN && block[1] == 3 && block[2].isNaN && block[3].isNaN)
    #expect(block[4].isNaN && block[5] == 2)
  }

  /// A block that is not full decides nothing; one with NaN in it is not better.
  @Test func aSpoiltBlockIsNotBetter() throws {
    #expect(
      try scales("plateau(1, 0.5, 0, window=2, average=block)", [4, 4, .nan, 1, 3, 3, 3, 3])
        == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25])
  }

  @Test func aFloorAndASmallestChange() throws {
    let cut = [Double](repeating: 1, count: 5)
    #expect(try scales("plateau(1, 0.5, 0, floor=0.2)", cut) == [1, 1, 0.5, 0.25, 0.2, 0.2])
    #expect(try scales("plateau(1, 0.5, 0, floor=1)", cut) == [1, 1, 1, 1, 1, 1])
    #expect(try scales("plateau(1, 0.5, 0, eps=0.25)", cut) == [1, 1, 0.5, 0.5, 0.5, 0.5])
    #expect(
      try scales("clamp(plateau(1, 0.5, 0), low=0.4)", cut) == [1, 1, 0.5, 0.4, 0.4, 0.4])
  }

  @Test func greedyGoesUpAndDown() throws {
    let down = (0..<5).map { 10 - Double($0) }
    #expect(try scales("greedy(1, 0.5, 0, ceiling=8)", down) == [1, 2, 4, 8, 8, 8])
    #expect(
      try scales("greedy(1, 0.5, 0, ceiling=8)", down + [9, 9, 9]) == [1, 2, 4, 8, 8, 8, 4, 2, 1])
    #expect(try scales("greedy(1, 0.5, 0, warmup=1)", down) == [1, 2, 2, 4, 4, 8])
    #expect(
      try scales("greedy(1, 0.5, 0, floor=0.3, reset=2)", [1, 1, 1, 1, 1])
        == [1, 2, 1, 0.5, 0.3, 1])
  }

  /// What torch's schedulers refuse: a plateau in a sequence, in a product, under a warm-up.
  @Test func theScaleMultipliesAnySchedule() throws {
    for (text, after) in [
      ("warmup(plateau(2, 0.5, 0), steps=4)", 0.25),
      ("plateau(warmup(2, steps=4), 0.5, 0)", 0.25),
      ("sequence((plateau(2, 0.5, 0), 7), at=(5,))", 1.0),
      ("product((plateau(2, 0.5, 0), 3, plateau(1, 0.1, 0)))", 2 * 0.5 * 3 * 0.1),
      ("total((plateau(2, 0.5, 0), plateau(3, 0.5, 0)))", 2.5),
      ("over(10, plateau(warmup(2, steps=40%), 0.5, 0))", 0.25),
    ] {
      let schedule = try StandaloneSchedule.make(Array(text.utf8))
      let first = try schedule.value(at: 0)
      _ = try schedule.metric(1)
      #expect(try schedule.value(at: 0) == first, "\(text)")
      _ = try schedule.metric(1)
      #expect(abs(try schedule.value(at: 0) - after) < 1e-15, "\(text)")
    }
  }

  @Test func whatTellsNothingOfMetricsRefusesThem() throws {
    let schedule = try StandaloneSchedule.make(Array("cosine(1, 10)".utf8))
    #expect(failure { _ = try schedule.metric(1) }?.status == RVN_ERR_STATE)
    let model = try Model("sgd(0.1)")
    #expect(failure { _ = try model.optimizer.metric(1) }?.status == RVN_ERR_STATE)
    #expect(sentence { _ = try model.optimizer.metric(1) }.contains("plateau(...)"))
  }

  @Test func argumentsOutOfRange() throws {
    for (text, part) in [
      ("plateau(1, factor=1)", "plateau.factor is 1, which is outside (0, 1)"),
      ("plateau(1, factor=0)", "outside (0, 1)"), ("plateau(1, patience=-1)", "plateau.patience"),
      ("plateau(1, patience=0.5)", "whole number"), ("plateau(1, rtol=1)", "outside [0, 1)"),
      ("plateau(1, floor=2)", "outside [0, 1]"), ("plateau(1, window=0)", "outside [1, 4096]"),
      ("plateau(1, window=4097)", "outside [1, 4096]"), ("plateau(1, mode=least)", "min, max"),
      ("greedy(1, ceiling=0.5)", "outside [1, inf)"), ("greedy(1, reset=0)", "outside [1, inf]"),
      ("plateau()", "plateau needs 'schedule'"),
    ] {
      let told = sentence { _ = try StandaloneSchedule.make(Array(text.utf8)) }
      #expect(told.contains(part), "\(text): \(told)")
    }
    let many = (0..<65).map { "plateau(1, patience=\($0))" }
    let half =
      "total((\(many[..<33].joined(separator: ",")))), total((\(many[33...].joined(separator: ","))))"
    #expect(
      sentence { _ = try Model("sgd(\(half.replacing("), total", with: "), momentum=total")))") }
        .contains("at most 64 different reactive schedules"))
  }

  // MARK: in an optimizer

  private func model(_ recipe: String) throws -> Model {
    try Model(recipe).add("w", [20]).add("b", [3])
  }

  private func get(_ model: Model, _ key: String) throws -> Double {
    try model.optimizer.get(Array(key.utf8))
  }

  @Test func equalArgumentsShareOneState() throws {
    let m = try model(
      "sgd(plateau(0.1, 0.5, 0), momentum=plateau(0.9, 0.5, 0)); b: lr=plateau(3, 0.1, 0); b: lr=x2"
    )
    _ = try m.optimizer.metric(1)
    let told = try m.optimizer.metric(1)
    #expect(told.changed == 2 && told.scale == 0.5 && told.best == 1 && told.bad == 0)
    #expect(try get(m, "lr") == 0.05 && get(m, "momentum") == 0.45)
    #expect(try get(m, "plateau.scale") == 0.5 && get(m, "plateau#2.scale") == 0.1)
    #expect(abs(try get(m, "b:lr") - 0.6) < 1e-15)
    let plan = try m.optimizer.describe().string
    #expect(plan.contains("plateau: scale 0.5, best 1, bad 0, waiting 0\n"))
    #expect(plan.contains("plateau#2: scale 0.1, best 1"))
  }

  @Test func stepsUseTheScale() throws {
    let m = try model("sgd(plateau(0.5, 0.5, 0))")
    #expect(try m.optimizer.step().lr == 0.5)
    for _ in 0..<2 { _ = try m.optimizer.metric(1) }
    #expect(try m.optimizer.step().lr == 0.25)
    #expect(m.values(0)[0] == 1 - 0.5 * 0.5 - 0.25 * 0.5)
    // Before the first step, too; and a scale may take a value out of its range.
    let out = try model("adamw(1e-3, beta1=greedy(0.9, 0.5, 0))")
    _ = try out.optimizer.metric(1)
    #expect(sentence { _ = try out.optimizer.step() }.contains("adamw.beta1 is 1.8 at step 0"))
  }

  @Test func setAndOverrideKeepTheStatesThatStay() throws {
    let m = try model("sgd(plateau(0.1, 0.5, 0), momentum=plateau(0.9, 0.25, 0))")
    try m.optimizer.prepare()
    for _ in 0..<2 { _ = try m.optimizer.metric(1) }
    try m.optimizer.set(Array("dampening".utf8), 0.5)
    #expect(try get(m, "plateau.scale") == 0.5 && get(m, "plateau#2.scale") == 0.25)
    try m.optimizer.override(Array("b".utf8), Array("lr=plateau(7, 0.1, 3)".utf8))
    #expect(try get(m, "plateau.scale") == 0.5 && get(m, "plateau#2.scale") == 0.25)
    #expect(try get(m, "plateau#3.scale") == 1 && get(m, "plateau#3.best") == .infinity)
    try m.optimizer.set(Array("lr".utf8), 0.1)  // the first goes, the others move up
    #expect(try get(m, "plateau.scale") == 0.25 && get(m, "plateau#2.scale") == 1)
    #expect(try get(m, "momentum") == 0.225)
    #expect(sentence { _ = try get(m, "plateau#3.scale") }.contains("no parameter"))
    #expect(sentence { _ = try get(m, "plateau.scal") }.contains("did you mean 'plateau.scale'?"))
    #expect(
      sentence { _ = try get(m, "plateau.0123456789abcdefghij") }.contains(
        "there are plateau.scale"))
    // What fails leaves everything.
    #expect(failure { try m.optimizer.override(Array("none".utf8), Array("lr=1".utf8)) } != nil)
    #expect(try get(m, "plateau.scale") == 0.25)
  }

  @Test func everyAllocationMayFail() throws {
    let recipe = "sgd(plateau(0.1, window=9), momentum=greedy(0.5))"
    for n in 0... {
      let meter = Meter()
      meter.budget = n
      let made = failure { _ = try Optimizer.make(Array(recipe.utf8), meter.options) }
      #expect(made == nil || made?.status == RVN_ERR_MEMORY)
      #expect(meter.live == 0 && meter.wrong == 0)
      if made == nil { break }
    }
  }

  // MARK: saved

  private static func state(_ recipe: String, _ metrics: [Double]) throws -> Reaction {
    var parsed = try parse(recipe)
    var reactions = Reactions(ravine_allocator())
    try reactions.bind(&parsed)
    _ = MetricReport(metrics[0], reactions.all)
    for x in metrics.dropFirst() { _ = MetricReport(x, reactions.all) }
    return reactions.all[0]
  }

  /// D11: timm saves the best metric alone, and forgets patience and cooldown.
  @Test func aSavedStateGoesOnTheSame() throws {
    var random = Random(state: 5)
    let metrics = (0..<40).map { _ in (random.unit() * 8).rounded() / 4 }
    for schedule in [
      "plateau(1, 0.5, 1, cooldown=2)", "plateau(1, 0.5, 1, window=4)",
      "plateau(1, 0.5, 1, window=4, average=block)",
      "plateau(1, 0.5, 0, window=3, average=exponential)",
      "greedy(1, 0.9, 1, cooldown=1, warmup=2, window=5, reset=1, floor=0.8)",
    ] {
      for cut in 1..<metrics.count {
        let whole = try Self.state("sgd(\(schedule))", Array(metrics[..<cut]))
        let heap = Heap(ravine_allocator())
        let other = try Self.state("sgd(\(schedule))", [1.0])
        let restored = try #require(try other.restored(whole.saved, heap))
        other.adopt(restored)
        #expect(other.saved == whole.saved)
        for x in metrics[cut...] {
          _ = (whole.react(to: x), other.react(to: x))
          #expect(other.saved == whole.saved, "\(schedule), \(cut)")
        }
      }
    }
  }

  @Test func aSavedStateFitsOtherArguments() throws {
    let saved = try Self.state("sgd(plateau(1, window=4))", [5, 6, 7, 8]).saved
    #expect(saved == "1 5 3 0 0 4 0 5 6 7 8")
    let heap = Heap(ravine_allocator())
    for (arguments, expected) in [
      ("patience=1", "1 5 3 0 0 0 0"), ("window=2", "1 5 3 0 0 2 0 7 8"),
      ("window=9", "1 5 3 0 0 4 0 5 6 7 8"), ("window=4, average=block", "1 5 3 0 1 0 0"),
    ] {
      let other = try Self.state("sgd(plateau(1, \(arguments)))", [1])
      // A window of 1 holds its one metric, too.
      other.adopt(try #require(try other.restored(saved, heap)))
      #expect(
        other.saved == Text(Array((arguments == "patience=1" ? "1 5 3 0 0 1 0 8" : expected).utf8)))
    }
    for damaged in [
      "", "1", "1 5 3 0 0 4 0 5 6 7", "1 5 3 0 0 4 0 5 6 7 8 9", "1 5 3 0 3 0 0", "-1 5 3 0 1 0 0",
      "inf 5 3 0 1 0 0", "1 5 -3 0 1 0 0", "1 5 0.5 0 1 0 0", "1 5 3 0 1 -2 0", "1 5 3 0 1 0 0 ",
      "1 5 3 0 1 0 x", "1 nan 3 0 1 0 0", "1,5,3,0,1,0,0", "1 5 3 0 0 1 0 inf", "1 5 3 0 1 0 0 7",
    ] {
      let other = try Self.state("sgd(plateau(1, window=4))", [1])
      #expect(try other.restored(Text(Array(damaged.utf8)), heap) == nil, "\(damaged)")
    }
  }

  @Test func slotsAreTheState() throws {
    #expect(MemoryLayout<Plateau.State>.size == 8 * Plateau.declaration.slots.count)
    #expect(MemoryLayout<Greedy.State>.size == 8 * Greedy.declaration.slots.count)
    for s in allSchedules() {
      #expect((s.reflex == nil) == s.declaration.slots.isEmpty)
      if s.reflex == nil { continue }
      let names = s.declaration.slots.prefix(3).map { Text($0.name).string }
      #expect(names == ["scale", "best", "bad"])
    }
  }
}
