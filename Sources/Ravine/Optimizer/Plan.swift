import CShims
import Kernels

/// What the recipe comes to for these tensors: groups, stages and phases. Built aside, and put in
/// place when it is whole.
final class Plan {
  let heap: Heap
  let catalog: Catalog
  var groups: [Group] = []
  let groupOf: UnsafeMutablePointer<Int>
  let groupWork: UnsafeMutablePointer<GroupWork>
  let stageWork: UnsafeMutablePointer<StageWork>
  private(set) var stageCount = 0
  /// How many of them stand before the rule.
  private(set) var before = 0
  /// Bytes of the scalars of a rule and of the stages behind it.
  let constantsSize: Int
  /// How many stages measure.
  private(set) var columns = 0
  /// One pass over memory each; the last one is the update.
  let phases: UnsafeMutablePointer<Phase>
  private(set) var phaseCount = 0
  /// Whether a stage behind the rule measures the update first.
  private(set) var settles = false
  private(set) var transforming = false
  /// The stage that accumulates.
  private(set) var accumulator: Int?
  /// How many phases come before it.
  private(set) var phasesBefore = 0
  /// The stage that wants a second gradient, and how many phases come before it.
  private(set) var perturber: Int?
  private(set) var phasesUnmoved = 0
  /// The stage that says how parameters are stored.
  private(set) var storing: Int?
  /// Whether some moments are rounded up or down.
  var dithers: Bool { groups.contains { $0.slots.contains { $0.moments == 1 } } }
  /// Whether some state does not lie in memory as the arithmetic has it.
  var packs: Bool {
    storing != nil || factored || groups.contains { $0.slots.contains { $0.moments > 0 } }
  }
  /// How many stages change the gradient by unit, and whether by columns.
  private(set) var unitStages = 0
  private(set) var byColumns = false
  /// Whether some tensor has moments by row and by column.
  private(set) var factored = false
  /// How many stages want random numbers.
  private var drawing = 0
  /// How many stages bring the gradient to its true size.
  private(set) var prepared = 0
  /// Whether some tensor's rule steps by curvature.
  private(set) var curved = false
  /// The learning rate of the recipe's own rule: every rule's first parameter.
  let rate: UnsafeMutablePointer<Double>
  /// What changes from step to step.
  private(set) var moving: [Moving] = []

  private init(
    _ heap: Heap, _ catalog: Catalog, _ groups: [Group], _ groupOf: UnsafeMutablePointer<Int>,
    _ groupWork: UnsafeMutablePointer<GroupWork>, _ stageWork: UnsafeMutablePointer<StageWork>,
    _ phases: UnsafeMutablePointer<Phase>, _ rate: UnsafeMutablePointer<Double>
  ) {
    self.heap = heap
    self.catalog = catalog
    constantsSize = (1 + groups[0].resolved.stages.count - groups[0].before) * RAVINE_MAX_CONSTANTS
    self.groups = groups
    self.groupOf = groupOf
    self.groupWork = groupWork
    self.stageWork = stageWork
    self.phases = phases
    self.rate = rate
  }

  static func make(
    _ recipe: Recipe, _ tensors: borrowing Table<Tensor>, _ allocator: ravine_allocator,
    checked: Int
  ) throws(RavineError) -> Plan {
    let heap = Heap(allocator)
    let groupOf = try heap.allocate(Int.self, tensors.count)
    let groups = try assign(recipe, tensors, groupOf, checked)
    let plan = Plan(
      heap, try Catalog.shared(), groups, groupOf, try heap.zeros(GroupWork.self, groups.count),
      try heap.zeros(StageWork.self, recipe.stages.count + 1),
      // A stage has two at most, the rules have four.
      try heap.allocate(Phase.self, 2 * recipe.stages.count + 4), try heap.zeros(Double.self, 1))
    for g in 0..<groups.count { try plan.prepare(group: g) }
    for i in 0..<tensors.count where !tensors[i].removed {
      let group = plan.groupWork + groupOf[i]
      if tensors[i].wide == 1 { group.pointee.uses.1 = true } else { group.pointee.uses.0 = true }
      if group.pointee.factored, tensors[i].isFactorable { plan.factored = true }
    }
    try plan.adopt(groups, recipe)
    try plan.checkRanks(tensors)
    try plan.planPhases(recipe)
    try checkMemory()
    return plan
  }

  /// Which clauses hold for each tensor; tensors with the same ones form a group. Clauses behind the
  /// first `checked` must hold for one.
  private static func assign(
    _ recipe: Recipe, _ tensors: borrowing Table<Tensor>, _ groupOf: UnsafeMutablePointer<Int>,
    _ checked: Int
  ) throws(RavineError) -> [Group] {
    var groups: [Group] = []
    var matched = [Bool](repeating: false, count: recipe.clauses.count)
    for i in 0..<tensors.count {
      groupOf[i] = 0
      if tensors[i].removed { continue }
      var applying: [Int] = []
      for (c, clause) in recipe.clauses.enumerated()
      where clause.patterns.contains(where: { $0.matches(tensors[i]) }) {
        applying.append(c)
        matched[c] = true
      }
      try checkMemory()
      if let known = groups.firstIndex(where: { $0.clauses == applying }) {
        groupOf[i] = known
      } else {
        groupOf[i] = groups.count
        groups.append(try Group(recipe, applying))
      }
    }
    guard !groups.isEmpty else {
      throw .state("no tensor was added: call rvn_optimizer_add first")
    }
    for (c, clause) in recipe.clauses.enumerated()
    where c >= checked && !matched[c] && !clause.patterns.contains(where: { $0.optional }) {
      throw .name(
        "no tensor matches '\(print(clause.patterns))'\(nearest(clause, tensors)); a pattern that may match none ends in '?'"
      )
    }
    return groups
  }

  /// The tensor whose name is nearest to a pattern of a clause, as a suggestion.
  private static func nearest(_ clause: Clause, _ tensors: borrowing Table<Tensor>) -> Text {
    var names: [Text] = []
    for i in 0..<min(tensors.count, 256) where !tensors[i].removed { names.append(tensors[i].text) }
    for pattern in clause.patterns {
      guard case .name(let bytes) = pattern.test else { continue }
      let near = suggestion(for: Text(bytes), among: names)
      if !near.isEmpty { return near }
    }
    return names.count <= 8 ? "; there are \(list(names))" : Text()
  }

  private func prepare(group g: Int) throws(RavineError) {
    let group = groups[g]
    let frozen = group.resolved.frozen
    let rule = catalog.rule(group.resolved.rule.row)
    let stages = group.resolved.stages.count, slots = rule.declaration.slots
    groupWork[g] = GroupWork(
      rule: frozen ? -1 : group.resolved.rule.row, slots: slots.count,
      lanes: slots.firstIndex { $0.kind == .rows } ?? slots.count,
      measures: frozen ? 0 : rule.declaration.measures.count,
      matrix: !frozen && rule.matrix != nil, factored: !frozen && rule.factors != nil,
      curvature: frozen ? nil : CurvatureWork(rule.declaration), uses: (false, false),
      stageConstants: try heap.zeros(UInt8.self, 2 * max(1, stages) * RAVINE_MAX_CONSTANTS),
      ruleConstants: try heap.zeros(UInt8.self, 2 * constantsSize), t: 0,
      hyper: try heap.zeros(Double.self, group.sources.count),
      ruleValues: group.resolved.rule.values.count,
      host: catalog.code(ofRule: group.resolved.rule.row))
    curved = curved || groupWork[g].curvature != nil
  }

  /// Independent measurements share a phase; one that comes after a stage that scales by what it
  /// measured needs the next. Rules measure in the last of these. Then each stage behind the rule
  /// that must know the update has its own.
  private func planPhases(_ recipe: Recipe) throws(RavineError) {
    var scaled = true, place = 0, slot = 0
    for element in recipe.stages[recipe.before...] {
      slot += try element.declaration.slots.count
    }
    var behind = 0
    stageCount = recipe.stages.count
    before = recipe.before
    try move(to: 0)
    for (k, element) in recipe.stages.enumerated() {
      let slots = try element.declaration.slots.count
      stageWork[k] = StageWork(
        row: element.row, place: place, transforms: false, reads: false, slots: slots,
        slot: k < before ? slot : behind, measurement: -1, scales: false, phase: -1, column: 0,
        factor: 1, host: catalog.code(ofStage: element.row))
      place += element.values.count
      if k < before { slot += slots } else { behind += slots }
      if k == before { planRules(scaled) }
      plan(facts(k), k, &scaled)
    }
    if before == stageCount { planRules(scaled) }
    append(.update)
  }

  private func append(_ kind: Phase.Kind, stage: Int = -1) {
    phases[phaseCount] = Phase(kind: kind, number: phaseCount, stage: stage)
    phaseCount += 1
  }

  private func plan(_ facts: StageFacts, _ k: Int, _ scaled: inout Bool) {
    let work = stageWork + k
    work.pointee.transforms = facts.transforms
    work.pointee.reads = facts.reads
    if facts.seed != nil {
      work.pointee.draws = drawing
      drawing += 1
    }
    work.pointee.scales = facts.scales
    work.pointee.prepares = facts.prepares
    if facts.storing != .plain { storing = k }
    if facts.prepares, prepared == k { prepared = k + 1 }
    transforming = transforming || facts.transforms
    if facts.accumulates > 0 {
      work.pointee.accumulates = true
      transforming = true
      accumulator = k
      phasesBefore = phaseCount
      scaled = true
    }
    if facts.perturbs {
      perturber = k
      phasesUnmoved = phaseCount
      scaled = true
    }
    if let units = facts.units {
      work.pointee.phase = measuringPhase(scaled)
      work.pointee.units = unitStages
      unitStages += 1
      byColumns = byColumns || units.columns
      scaled = true
    }
    if facts.settles {
      append(.settle, stage: k)
      settles = true
    }
    guard let measurement = facts.measures else { return }
    work.pointee.measurement = measurement.rawValue
    work.pointee.phase = measuringPhase(scaled)
    work.pointee.column = columns
    columns += 1
    scaled = facts.scales
  }

  /// The last measuring phase, or a new one where the gradient was scaled since.
  private func measuringPhase(_ scaled: Bool) -> Int {
    if scaled { append(.measure) }
    return phaseCount - 1
  }

  /// The phases that rules have before the update.
  private func planRules(_ scaled: Bool) {
    if factored {
      phases[measuringPhase(scaled)].factors = true
      byColumns = true
    }
    measureRules(scaled || factored)
    for g in 0..<groups.count where groupWork[g].matrix {
      append(.direct)
      return
    }
  }

  private func measureRules(_ scaled: Bool) {
    for g in 0..<groups.count where groupWork[g].measures > 0 {
      phases[measuringPhase(scaled)].ruleMeasures = true
      return
    }
  }

  /// Whether some tensor's rule is this one, and measures.
  func measures(_ row: Int) -> Bool {
    for g in 0..<groups.count where groupWork[g].rule == row && groupWork[g].measures > 0 {
      return true
    }
    return false
  }

  /// How many calls it takes for a step.
  var window: Double { accumulator.map { facts($0).accumulates } ?? 1 }

  /// What a sum of so many gradients is multiplied by.
  func windowFactor(_ count: UInt64) -> Double {
    accumulator.map { facts($0).averages } ?? false ? 1 / Double(count) : 1
  }

  func facts(_ k: Int) -> StageFacts {
    catalog.stage(stageWork[k].row).facts(groupWork[0].hyper(of: stageWork[k]))
  }

  /// Puts the factors in place that do not hang on what is measured, and the seeds.
  func setFactors() {
    for k in 0..<before {
      if stageWork[k].scales, stageWork[k].measurement < 0 { stageWork[k].factor = facts(k).factor }
      if stageWork[k].draws >= 0 { stageWork[k].seed = UInt64(facts(k).seed ?? 0) }
    }
  }

  /// Evaluates the schedules. One that leaves its parameter's range is an error.
  func move(to t: Double) throws(RavineError) {
    for k in 0..<moving.count { try moving[k].move(to: t) }
  }

  /// Takes new numbers for the same clauses; whether the state that there is fits them.
  func update(_ recipe: Recipe) throws(RavineError) -> Bool {
    var new: [Group] = []
    for group in groups {
      let next = try Group(recipe, group.clauses)
      guard try group.fits(next) else { return false }
      new.append(next)
    }
    try adopt(new, recipe)
    return true
  }

  /// Takes groups, puts their numbers in place, and notes what moves.
  private func adopt(_ new: [Group], _ recipe: Recipe) throws(RavineError) {
    let d = try recipe.rule.declaration
    let lr = try Source(recipe.rule.values[0], d.parameters[0], owner: d.name)
    var moving = [Moving(source: lr, target: rate)]
    for (g, group) in new.enumerated() {
      for (i, source) in group.sources.enumerated() {
        moving.append(Moving(source: source, target: groupWork[g].hyper + i))
      }
    }
    let kept = moving.filter { $0.source.curve != nil }
    try checkMemory()
    groups = new
    for m in moving { m.target.pointee = m.source.number }
    self.moving = kept
  }

  static func otherType(_ tensor: Tensor, _ slot: GroupSlot, _ old: Int32) -> RavineError {
    .state(
      "the state '\(slot.name)' of '\(tensor.text)' lies in \(SlotType.name(old)) already; how moments are stored is fixed at prepare"
    )
  }

  static func otherStart(_ d: Declaration, _ slot: GroupSlot) -> RavineError {
    .state(
      "the state '\(slot.name)' of \(d.name) was started already, with another number; what it starts at is fixed at prepare"
    )
  }
}
