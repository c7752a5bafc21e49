import CRavine
import CShims
import Kernels

/// Where a hyper-parameter's value comes from.
enum Source {
  case number(Double)
  case curve(Curve, Parameter, owner: StaticString)

  init(_ value: Value, _ parameter: Parameter, owner: StaticString) throws(RavineError) {
    switch value {
    case .number(let x): self = .number(x)
    case .schedule(let element, let times):
      let inner = try Ravine.curve(of: element)
      self = .curve(times == 1 ? inner : { times * inner($0) }, parameter, owner: owner)
    default: self = .number(0)
    }
  }

  /// The value at a step. A schedule that leaves its parameter's range is an error.
  func value(at t: Double) throws(RavineError) -> Double {
    switch self {
    case .number(let x): return x
    case .curve(let curve, let parameter, let owner):
      let x = curve(t)
      if let reason = parameter.reject(x) {
        throw .argument("\(owner).\(parameter.name) is \(x) at step \(t), \(reason)")
      }
      return x
    }
  }
}

/// The tensors that the same clauses match, and what holds for them.
struct Group {
  let clauses: [Int]
  var resolved: Resolved
  /// Of the rule's parameters, then of each stage's.
  var sources: [Source]

  init(_ recipe: Recipe, _ clauses: [Int]) throws(RavineError) {
    self.clauses = clauses
    resolved = try recipe.resolve(clauses)
    sources = []
    for element in [resolved.rule] + resolved.stages {
      let d = try element.declaration
      for (k, value) in element.values.enumerated() {
        sources.append(try Source(value, d.parameters[k], owner: d.name))
      }
    }
    try checkMemory()
  }

  /// Which slots of the rule this group needs.
  func slots() throws(RavineError) -> [Bool] {
    if resolved.frozen { return [] }
    let declaration = try resolved.rule.declaration
    var out: [Bool] = []
    for slot in declaration.slots {
      guard let when = slot.when, let k = declaration.index(of: Text(when)) else {
        out.append(true)
        continue
      }
      out.append(resolved.rule.values[k].constant != 0)
    }
    return out
  }

  /// Whether another group can use the state that was made for this one.
  func fits(_ other: Group) throws(RavineError) -> Bool {
    if other.resolved.frozen { return true }
    if resolved.frozen || resolved.rule.row != other.resolved.rule.row { return false }
    return try slots() == (try other.slots())
  }

  /// Writes the values that hold at a step.
  func evaluate(at t: Double, into hyper: UnsafeMutablePointer<Double>) throws(RavineError) {
    for i in 0..<sources.count { hyper[i] = try sources[i].value(at: t) }
  }
}

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

  init(_ recipe: Recipe, _ tensors: borrowing Table<Tensor>, _ allocator: ravine_allocator)
    throws(RavineError)
  {
    heap = Heap(allocator)
    rate = try Plan.rate(recipe)
    groupOf = try heap.allocate(Int.self, tensors.count)
    var matched = [Bool](repeating: false, count: recipe.clauses.count)
    for i in 0..<tensors.count {
      var applying: [Int] = []
      for (c, clause) in recipe.clauses.enumerated()
      where clause.patterns.contains(where: { $0.matches(tensors[i]) }) {
        applying.append(c)
        matched[c] = true
      }
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
        "no tensor matches '\(print(clause.patterns))'; write a '?' behind a pattern that may match none"
      )
    }
    groupWork = try heap.zeros(GroupWork.self, groups.count)
    stageWork = try heap.zeros(StageWork.self, recipe.stages.count + 1)
    for g in 0..<groups.count { try prepare(group: g) }
    try planPhases(recipe)
    try checkMemory()
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

/// Tasks, sums and scratch: what the plan needs of memory, and does not depend on values.
final class Buffers {
  let heap: Heap
  let threads: Int
  let blocks: Int
  let columns: Int
  let work: UnsafeMutablePointer<Work>

  /// Blocks of a task: about what a worker does in 50 microseconds.
  static let taskBlocks = 64

  init(_ plan: Plan, _ tensors: borrowing Table<Tensor>, _ options: Options) throws(RavineError) {
    heap = Heap(options.allocator)
    columns = plan.columns
    var total = 0, elements = 0
    for i in 0..<tensors.count {
      total += tensors[i].blocks
      elements += tensors[i].count
    }
    blocks = total
    threads = min(options.threads(for: elements), max(1, total))
    let size = threads == 1 ? total : Buffers.taskBlocks
    let taskCount = size == 0 ? 0 : (total + size - 1) / size
    let tasks = try heap.allocate(TaskWork.self, taskCount)
    var tensor = 0, first = 0
    for t in 0..<taskCount {
      while first >= tensors[tensor].blocks {
        first -= tensors[tensor].blocks
        tensor += 1
      }
      tasks[t] = TaskWork(tensor: tensor, first: first, blocks: min(size, total - t * size))
      first += size
    }
    work = try heap.allocate(Work.self, 1)
    work.initialize(
      to: Work(
        kernels: try Catalog.shared().kernels, tensors: tensors.base.unsafelyUnwrapped,
        groups: plan.groupWork, stages: plan.stageWork, tasks: tasks, taskCount: taskCount,
        stageCount: 0, scaleRow: try Catalog.shared().stages.count, blocks: total,
        chainSums: try heap.zeros(Double.self, max(1, columns) * total),
        ruleSums: try heap.zeros(Double.self, RAVINE_MAX_MEASURES * total),
        reportSums: try heap.zeros(Double.self, 2 * total),
        scratch: try heap.zeros(UInt8.self, threads * Scratch.size), phase: plan.phases[0],
        reporting: false, transforming: false, next: 0, finished: 0))
  }
}
