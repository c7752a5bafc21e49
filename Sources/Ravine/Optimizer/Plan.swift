import CShims
import Kernels

/// What the recipe comes to for these tensors: groups, stages and phases. Built aside, and put in
/// place when it is whole.
final class Plan {
  let heap: Heap
  var groups: [Group] = []
  let groupOf: UnsafeMutablePointer<Int>
  let groupWork: UnsafeMutablePointer<GroupWork>
  let stageWork: UnsafeMutablePointer<StageWork>
  private(set) var stageCount = 0
  /// How many stages measure.
  private(set) var columns = 0
  private(set) var phases: [Phase] = []
  private(set) var transforming = false
  /// The learning rate of the recipe's own rule: every rule's first parameter.
  private(set) var rate: Source

  private init(
    _ heap: Heap, _ groups: [Group], _ groupOf: UnsafeMutablePointer<Int>,
    _ groupWork: UnsafeMutablePointer<GroupWork>, _ stageWork: UnsafeMutablePointer<StageWork>,
    _ rate: Source
  ) {
    self.heap = heap
    self.groups = groups
    self.groupOf = groupOf
    self.groupWork = groupWork
    self.stageWork = stageWork
    self.rate = rate
  }

  static func make(
    _ recipe: Recipe, _ tensors: borrowing Table<Tensor>, _ allocator: ravine_allocator
  ) throws(RavineError) -> Plan {
    let heap = Heap(allocator)
    let groupOf = try heap.allocate(Int.self, tensors.count)
    let groups = try assign(recipe, tensors, groupOf)
    let plan = Plan(
      heap, groups, groupOf, try heap.zeros(GroupWork.self, groups.count),
      try heap.zeros(StageWork.self, recipe.stages.count + 1), try rate(recipe))
    for g in 0..<groups.count { try plan.prepare(group: g) }
    try plan.planPhases(recipe)
    try checkMemory()
    return plan
  }

  /// Which clauses hold for each tensor; tensors with the same ones form a group.
  private static func assign(
    _ recipe: Recipe, _ tensors: borrowing Table<Tensor>, _ groupOf: UnsafeMutablePointer<Int>
  ) throws(RavineError) -> [Group] {
    var groups: [Group] = []
    var matched = [Bool](repeating: false, count: recipe.clauses.count)
    for i in 0..<tensors.count {
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
    for (c, clause) in recipe.clauses.enumerated()
    where !matched[c] && !clause.patterns.contains(where: { $0.optional }) {
      throw .name(
        "no tensor matches '\(print(clause.patterns))'; write '?' behind a pattern that may match none"
      )
    }
    return groups
  }

  private func prepare(group g: Int) throws(RavineError) {
    let group = groups[g], catalog = try Catalog.shared()
    let frozen = group.resolved.frozen
    let rule = catalog.rules[group.resolved.rule.row]
    let stages = group.resolved.stages.count
    groupWork[g] = GroupWork(
      rule: frozen ? -1 : group.resolved.rule.row, slots: rule.declaration.slots.count,
      measures: frozen ? 0 : rule.declaration.measures.count,
      stageConstants: try heap.zeros(UInt8.self, 2 * max(1, stages) * RAVINE_MAX_CONSTANTS),
      ruleConstants: try heap.zeros(UInt8.self, 2 * RAVINE_MAX_CONSTANTS), t: 0,
      hyper: try heap.zeros(Double.self, group.sources.count))
  }

  /// Independent measurements share a phase; one that comes after a stage that scales by what it
  /// measured needs the next.
  private func planPhases(_ recipe: Recipe) throws(RavineError) {
    let catalog = try Catalog.shared()
    var number = 0, measuring = 0, scaled = false
    try groups[0].evaluate(at: 0, into: groupWork[0].hyper)
    for (k, element) in recipe.stages.enumerated() {
      let facts = catalog.stages[element.row].facts(hyper(group: 0, stage: k))
      var work = StageWork(
        row: element.row, transforms: facts.transforms, measurement: -1, scales: facts.scales,
        phase: -1, column: 0, factor: 1)
      if let measurement = facts.measures {
        if scaled {
          number += 1
          scaled = false
        }
        work.measurement = measurement.rawValue
        work.phase = number
        work.column = columns
        columns += 1
        measuring = number + 1
        scaled = scaled || facts.scales
      }
      transforming = transforming || facts.transforms
      stageWork[k] = work
    }
    stageCount = recipe.stages.count
    var rules = false
    for g in 0..<groups.count where groupWork[g].measures > 0 { rules = true }
    if rules, measuring == 0 || scaled { measuring += 1 }
    for n in 0..<measuring {
      phases.append(Phase(kind: .measure, number: n, ruleMeasures: rules && n == measuring - 1))
    }
    phases.append(Phase(kind: .update, number: measuring, ruleMeasures: false))
  }

  /// The values of a stage's hyper-parameters for a group, in the step in progress.
  func hyper(group g: Int, stage: Int) -> UnsafeMutablePointer<Double> {
    var at = groups[g].resolved.rule.values.count
    for k in 0..<stage { at += groups[g].resolved.stages[k].values.count }
    return groupWork[g].hyper + at
  }

  /// Takes new numbers for the same clauses, if the state allows it.
  func update(_ recipe: Recipe) throws(RavineError) {
    var new: [Group] = []
    for group in groups {
      let next = try Group(recipe, group.clauses)
      guard try group.fits(next) else { throw Plan.otherState(try next.resolved.rule.declaration) }
      new.append(next)
    }
    let rate = try Plan.rate(recipe)
    try checkMemory()
    groups = new
    self.rate = rate
  }

  private static func rate(_ recipe: Recipe) throws(RavineError) -> Source {
    let d = try recipe.rule.declaration
    return try Source(recipe.rule.values[0], d.parameters[0], owner: d.name)
  }

  static func otherState(_ d: Declaration) -> RavineError {
    .state(
      "\(d.name) would need other state than was prepared; create a new optimizer, and load a checkpoint into it"
    )
  }
}
