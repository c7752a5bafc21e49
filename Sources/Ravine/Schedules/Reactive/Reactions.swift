import CShims
import Kernels

/// Gives the reactive schedules of a recipe their states, in the order of the text.
struct Reactions {
  private(set) var all: [Reaction] = []
  /// Those of the recipe before: an unchanged schedule keeps its state.
  private let old: [Reaction]
  private let allocator: ravine_allocator

  init(keeping old: [Reaction] = [], _ allocator: ravine_allocator) {
    self.old = old
    self.allocator = allocator
  }

  mutating func bind(_ recipe: inout Recipe) throws(RavineError) {
    for k in 0..<recipe.before { try bind(&recipe.stages[k]) }
    try bind(&recipe.rule)
    for k in recipe.before..<recipe.stages.count { try bind(&recipe.stages[k]) }
    for c in 0..<recipe.clauses.count {
      switch recipe.clauses[c].change {
      case .frozen: break
      case .rule(var element):
        try bind(&element)
        recipe.clauses[c].change = .rule(element)
      case .arguments(var assignments):
        for i in 0..<assignments.count { try bind(&assignments[i].value) }
        recipe.clauses[c].change = .arguments(assignments)
      }
    }
    try checkMemory()
  }

  mutating func bind(_ element: inout Element) throws(RavineError) {
    if try element.declaration.kind == .schedule, let made = try Reaction.make(element, allocator) {
      element.reaction = try add(made)
    }
    for k in 0..<element.values.count { try bind(&element.values[k]) }
  }

  private mutating func bind(_ value: inout Value) throws(RavineError) {
    switch value {
    case .schedule(var element, let times):
      try bind(&element)
      value = .schedule(element, times: times)
    case .schedules(var values):
      for i in 0..<values.count { try bind(&values[i]) }
      value = .schedules(values)
    default: break
    }
  }

  private mutating func add(_ new: Reaction) throws(RavineError) -> Reaction {
    let same = { (known: Reaction) in
      Text(known.declaration.name) == Text(new.declaration.name) && known.arguments == new.arguments
    }
    if let known = all.first(where: same) { return known }
    guard all.count < Limits.parts else {
      throw .recipe("a recipe has at most \(Limits.parts) different reactive schedules")
    }
    let found = old.first(where: same) ?? new
    all.append(found)
    return found
  }
}

/// "plateau", and "plateau#2" for the second with other arguments.
func reactionName(_ index: Int, in reactions: [Reaction]) -> Text {
  let name = reactions[index].declaration.name
  var number = 1
  for i in 0..<index where Text(reactions[i].declaration.name) == Text(name) { number += 1 }
  return number == 1 ? Text(name) : "\(name)#\(number)"
}

/// What a metric did. All but `changed` is of the first reactive schedule.
public struct MetricReport {
  /// How many scales it changed.
  public var changed: Int32 = 0
  public var scale = 1.0
  /// The metric or the average that was compared; NaN where none was.
  public var compared = Double.nan
  public var best = Double.nan
  public var bad: UInt64 = 0

  init(_ metric: Double, _ reactions: [Reaction]) {
    for (i, reaction) in reactions.enumerated() {
      let before = reaction.scale, compared = reaction.react(to: metric)
      if reaction.scale != before { changed += 1 }
      if i > 0 { continue }
      self.compared = compared
      scale = reaction.scale
      best = reaction.best
      bad = UInt64(reaction.bad)
    }
  }
}

extension Optimizer {
  /// Hands a metric to the reactive schedules of the recipe.
  public func metric(_ x: Double) throws(RavineError) -> MetricReport {
    guard !reactions.isEmpty else {
      throw .state(
        "nothing in the recipe listens to metrics; put plateau(...) or greedy(...) around a schedule or a number, as in lr=plateau(0.1)"
      )
    }
    return MetricReport(x, reactions)
  }

  /// The reactions of a recipe that is to hold from now on.
  func reactions(of recipe: inout Recipe) throws(RavineError) -> [Reaction] {
    var reactions = Reactions(keeping: self.reactions, options.allocator)
    try reactions.bind(&recipe)
    return reactions.all
  }

  /// The state behind a key such as "plateau.best"; nil where the key is not one.
  func reactionState(_ key: Text) throws(RavineError) -> Double? {
    for (i, reaction) in reactions.enumerated() {
      let name: Text = "\(reactionName(i, in: reactions))."
      guard key.bytes.starts(with: name.bytes) else { continue }
      let slot = Text(Array(key.bytes.dropFirst(name.bytes.count)))
      if let x = reaction.slot(slot) { return x }
      var known: [Text] = []
      for slot in reaction.declaration.slots { known.append("\(name)\(slot.name)") }
      let near = suggestion(for: key, among: known)
      throw .name("there is no '\(key)'\(near.isEmpty ? "; there are \(list(known))" : near)")
    }
    return nil
  }

  /// A line of the plan for each reaction.
  func describeReactions(_ out: Document) throws(RavineError) {
    for (i, reaction) in reactions.enumerated() {
      try out.append("\(reactionName(i, in: reactions)): \(reaction.description)\n")
    }
  }
}
