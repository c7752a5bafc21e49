import CRavine
import Testing

@testable import Ravine

/// The phases of a plan, written as in its description.
struct PlanTests {
  private func phases(_ recipe: String) throws -> [String] {
    let model = try Model(recipe)
    try model.add("w", [4]).add("b", [4])
    let lines = try model.optimizer.describe().string.split(separator: "\n").map(String.init)
    return lines.filter { $0.hasPrefix("  ") }.map { String($0.dropFirst(5)) }
  }

  @Test func eachMeasurementThatDependsOnAnotherAddsAPhase() throws {
    for (recipe, expected) in [
      ("adamw", ["update"]),
      ("clip_value(1) | adamw", ["update, with clip_value in cache"]),
      (
        "clip_norm(1) | adamw",
        ["measure clip_norm over all tensors", "update, with clip_norm in cache"]
      ),
      (
        "finite_guard | clip_norm(1) | adamw",
        [
          "measure finite_guard over all tensors, clip_norm over all tensors",
          "update, with clip_norm in cache",
        ]
      ),
      (
        "clip_norm(1) | finite_guard | adamw",
        [
          "measure clip_norm over all tensors", "measure finite_guard over all tensors",
          "update, with clip_norm in cache",
        ]
      ),
      (
        "clip_norm(1) | clip_value(1) | clip_norm(2) | adamw",
        [
          "measure clip_norm over all tensors", "measure clip_norm#2 over all tensors",
          "update, with clip_norm in cache, with clip_value in cache, with clip_norm#2 in cache",
        ]
      ),
      ("lamb", ["measure lamb over each tensor", "update"]),
      (
        "clip_norm(1) | lamb",
        [
          "measure clip_norm over all tensors", "measure lamb over each tensor",
          "update, with clip_norm in cache",
        ]
      ),
      (
        "finite_guard | lamb",
        ["measure finite_guard over all tensors, lamb over each tensor", "update"]
      ),
      (
        "clip_norm(1) | adamw; b: lamb",
        [
          "measure clip_norm over all tensors", "measure lamb over each tensor",
          "update, with clip_norm in cache",
        ]
      ),
      (
        "clip_norm(1) | lamb; *: frozen",
        ["measure clip_norm over all tensors", "update, with clip_norm in cache"]
      ),
      ("finite_guard(zero) | adamw", ["update, with finite_guard in cache"]),
    ] {
      #expect(try phases(recipe) == expected, "\(recipe)")
    }
  }

  @Test func tensorsWithTheSameClausesShareAGroup() throws {
    let model = try Model("adamw; *.bias: weight_decay=0; a.*, @rank=2: lr=x2; c?: frozen")
    for name in ["a.w", "a.bias", "b.w", "b.bias"] { try model.add(name, [2]) }
    try model.add("m", [2, 2]).add("a.m", [2, 2])
    let plan = try model.optimizer.currentPlan()
    #expect(plan.groups.map(\.clauses) == [[1], [0, 1], [], [0]])
    #expect((0..<6).map { plan.groupOf[$0] } == [0, 1, 2, 3, 0, 0])
  }

  @Test func stateIsAllocatedWhereTheRecipeNeedsIt() throws {
    let model = try Model(
      "sgd; m: momentum=0.9; s: momentum=constant(0); a: adam(amsgrad=1); b: adam; f: frozen")
    for name in ["w", "m", "s", "a", "b", "f"] { try model.add(name, [2]) }
    try model.optimizer.prepare()
    #expect(
      try (0..<6).map { try model.optimizer.slots($0).string } == [
        "", "m", "m", "m,v,vmax", "m,v", "",
      ])
  }

  @Test func whatDoesNotGoTogetherForATensorIsRefused() throws {
    let model = try Model("sgd(momentum=0.9, nesterov=1); w: momentum=0")
    try model.add("w", [2])
    let error = failure { try model.optimizer.prepare() }
    #expect(error?.status == RVN_ERR_ARGUMENT)
    #expect(error?.message.string == "sgd.nesterov needs momentum, which is 0")
  }

  @Test func theStartOfStateIsFixedByPrepare() throws {
    let model = try Model("adagrad(initial_accumulator_value=0.5)")
    try model.add("w", [2])
    try model.optimizer.set(Array("initial_accumulator_value".utf8), 0.25)
    try model.optimizer.prepare()
    let key = Array("initial_accumulator_value".utf8)
    #expect(failure { try model.optimizer.set(key, 1) }?.status == RVN_ERR_STATE)
    #expect(try model.optimizer.get(key) == 0.25)
  }

  @Test func whatIsSetAfterPrepareHoldsOrChangesNothing() throws {
    let model = try Model("sgd(momentum=0.9)")
    try model.add("w", [2])
    try model.optimizer.prepare()
    for (key, value, status) in [
      ("momentum", 0.5, nil), ("momentum", 0, nil), ("w:momentum", 0, nil),
      ("w:momentum", 0.25, nil), ("nope:lr", 1, RVN_ERR_NAME), ("lr", -1, RVN_ERR_ARGUMENT),
      ("lr", .nan, RVN_ERR_ARGUMENT), ("decay", 1, RVN_ERR_ARGUMENT), ("x", 1, RVN_ERR_NAME),
    ] as [(String, Double, Int32?)] {
      let text = try model.optimizer.recipeText()
      let error = failure { try model.optimizer.set(Array(key.utf8), value) }
      #expect(error?.status == status, "\(key) = \(value)")
      if status != nil { #expect(try model.optimizer.recipeText() == text) }
    }
    for (clause, slots) in [
      ("adam(amsgrad=1)", "m,v,vmax"), ("amsgrad=0", "m,v"), ("frozen", ""), ("beta1=0.5", ""),
      ("sgd(momentum=0.5)", "m"), ("dampening=1, momentum=0", ""),
    ] {
      try model.optimizer.override(Array("w".utf8), Array(clause.utf8))
      #expect(try model.optimizer.slots(0).string == slots, "\(clause)")
    }
  }

  @Test func settingAKeyAgainAndAgainDoesNotGrowTheRecipe() throws {
    let model = try Model("sgd; w: lr=1")
    try model.add("w", [2])
    for i in 0..<3000 { try model.optimizer.set(Array("w:lr".utf8), Double(i)) }
    #expect(try model.optimizer.recipeText().string.hasSuffix("; w: lr=1; w: lr=2999"))
    #expect(try model.optimizer.get(Array("w:lr".utf8)) == 2999)
  }
}

extension Stepping {
  /// What a step reads and writes of the caller's arrays and of state, to the byte.
  struct TrafficTests {
    /// Bytes that one step moves, on one thread or several, with and without a report.
    private func moved(_ recipe: String, _ fill: (Model) throws -> Void) throws -> [Int] {
      try [(1, false), (1, true), (2, false), (2, true)].map { threads, reporting in
        var options = Options()
        options.threads = threads
        let model = try Model(recipe, options)
        try fill(model)
        _ = try model.optimizer.step()
        let before = bytesMoved()
        _ = try model.optimizer.step(reporting: reporting)
        return bytesMoved() - before
      }
    }

    private func expect(_ recipe: String, _ type: Int32, grad: Int32 = 0, bytes: Int) throws {
      // Blocks are of 1024: less than one, whole ones, many, and an odd end.
      for count in [1, 16, 1000, 1024, 4096, 150_007] as [Int64] {
        let found = try moved(recipe) { try $0.add("w", [count], type, grad: grad) }
        #expect(
          found == Array(repeating: bytes * Int(count), count: 4), "\(recipe), \(count) elements")
      }
    }

    @Test func anElementwiseRuleMovesItsArraysOnce() throws {
      try expect("adamw", RVN_F32, bytes: 28)
      try expect("adamw(amsgrad=1)", RVN_F32, bytes: 36)
      try expect("adamw", RVN_F64, bytes: 56)
      try expect("sgd", RVN_F32, bytes: 12)
      try expect("sgd(momentum=0.9)", RVN_F32, bytes: 20)
      try expect("lion", RVN_F32, bytes: 20)
      try expect("rmsprop(centered=1, momentum=0.9)", RVN_F32, bytes: 36)
    }

    @Test func narrowTypesMoveLess() throws {
      try expect("adamw", RVN_BF16, bytes: 2 + 4 + 16)
      try expect("adamw", RVN_F16, bytes: 2 + 4 + 16)
      try expect("adamw", RVN_F32, grad: RVN_BF16, bytes: 2 + 8 + 16)
      try expect("adamw", RVN_BF16, grad: RVN_F32, bytes: 4 + 4 + 16)
      try expect("adamw", RVN_F64, grad: RVN_F32, bytes: 4 + 16 + 32)
      try expect("clip_norm(1) | sgd", RVN_BF16, bytes: 2 + 2 + 4)
    }

    @Test func aStageInCacheMovesNothing() throws {
      try expect("clip_value(1) | adamw", RVN_F32, bytes: 28)
      try expect("finite_guard(zero) | clip_value(1) | clip_value(2) | adamw", RVN_F32, bytes: 28)
    }

    @Test func aMeasurementReadsTheGradientOnceMore() throws {
      try expect("clip_norm(1) | adamw", RVN_F32, bytes: 4 + 28)
      try expect("finite_guard | adamw", RVN_F32, bytes: 4 + 28)
      try expect("clip_value(1) | clip_norm(1) | adamw", RVN_F32, bytes: 4 + 28)
      try expect("clip_norm(1) | clip_norm(2) | adamw", RVN_F32, bytes: 4 + 4 + 28)
    }

    @Test func aMeasuringRuleReadsEverythingOnceMore() throws {
      try expect("lamb", RVN_F32, bytes: 16 + 28)
      try expect("clip_norm(1) | lamb", RVN_F32, bytes: 4 + 16 + 28)
      try expect("clip_norm(1) | lamb", RVN_BF16, bytes: 2 + 12 + 22)
    }

    /// A phase is one pass over memory, however many measurements share it.
    @Test func measurementsOfOnePhaseReadTheGradientTogether() throws {
      try expect("finite_guard | clip_norm(1) | adamw", RVN_F32, bytes: 4 + 28)
      try expect("finite_guard | lamb", RVN_F32, bytes: 16 + 28)
    }

    @Test func tensorsThatAreLeftAloneMoveNothing() throws {
      let found = try moved("clip_norm(1) | adamw; f*: frozen; s: sgd") {
        try $0.add("a", [3000]).add("none", [5000], bound: false).add("frozen", [7000])
          .add("s", [100]).add("empty", [0, 3])
      }
      #expect(found == Array(repeating: 32 * 3000 + 16 * 100, count: 4))
      #expect(try moved("adamw; *: frozen") { try $0.add("w", [5000]) } == [0, 0, 0, 0])
      #expect(
        try moved("clip_norm(1) | adamw") { try $0.add("w", [50], bound: false) } == [0, 0, 0, 0])
    }

    @Test func manyTensorsMoveTheirOwn() throws {
      let found = try moved("clip_norm(1) | adamw") {
        for i in 0..<300 { try $0.add("w\(i)", [Int64(i * 7)]) }
      }
      #expect(found == Array(repeating: 32 * 7 * 299 * 300 / 2, count: 4))
    }

    @Test func aStepThatIsSkippedMovesOnlyWhatItMeasures() throws {
      let model = try Model("finite_guard | adamw")
      try model.add("w", [5000])
      _ = try model.optimizer.step()
      model.setGradient(0, 4321, .infinity)
      let before = bytesMoved()
      #expect(try model.optimizer.step().skipped == .guarded)
      #expect(bytesMoved() - before == 4 * 5000)
    }

    /// Neither the padding behind them nor what a NaN spreads to is counted.
    @Test func elementsThatAreNotFiniteAreCountedAsGiven() throws {
      for recipe in ["finite_guard | sgd", "clip_norm(1) | finite_guard | sgd", "sgd"] {
        let model = try Model(recipe)
        try model.add("w", [5])
        model.setGradient(0, 3, .nan)
        let report = try model.optimizer.step()
        #expect(report.nonfinite == 1, "\(recipe)")
        #expect(report.skipped == (recipe == "sgd" ? .no : .guarded), "\(recipe)")
      }
    }

    @Test func aSkippedStepScalesNothing() throws {
      let model = try Model("finite_guard | clip_norm(1) | sgd")
      try model.add("w", [5])
      model.setGradient(0, 0, .nan)
      let report = try model.optimizer.step()
      #expect(report.clipScale == 1 && report.updateNorm == 0 && report.nonfinite == 1)
      #expect(model.values(0) == [1, 1, 1, 1, 1] && report.step == 0)
    }

    @Test func aSkippedStepCountsOnceHoweverManyGuards() throws {
      let model = try Model("finite_guard(limit=2) | finite_guard(limit=2) | sgd")
      try model.add("w", [5])
      model.setGradient(0, 0, .nan)
      #expect(try model.optimizer.step().skipped == .guarded)
      #expect(try model.optimizer.step().skipped == .guarded)
      #expect(failure { _ = try model.optimizer.step() }?.status == RVN_ERR_NONFINITE)
    }
  }
}
