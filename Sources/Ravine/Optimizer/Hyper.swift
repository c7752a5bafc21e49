import CRavine
import CShims
import Kernels

/// `[patterns:][stage.]parameter`, taken apart.
struct Key {
  let patterns: [UInt8]?
  let name: Text

  init(_ text: [UInt8]) {
    if let colon = text.lastIndex(of: UInt8(ascii: ":")) {
      patterns = Array(text[..<colon])
      name = Text(Array(text[(colon + 1)...]))
    } else {
      patterns = nil
      name = Text(text)
    }
  }
}

extension Optimizer {
  /// The value of a hyper-parameter in the next step.
  public func get(_ text: [UInt8]) throws(RavineError) -> Double {
    let key = Key(text)
    if let scalars, key.patterns == nil, let k = scalars.names.firstIndex(of: key.name) {
      return scalars.values[k]
    }
    guard let patterns = key.patterns else {
      if let x = try reactionState(key.name) { return x }
      let (stage, parameter) = try Ravine.find(key.name, in: recipe, forClause: false)
      return try value(of: parameter, stage, in: Resolved(stages: recipe.stages, rule: recipe.rule))
    }
    let parsed = try Parser.patterns(patterns)
    let plan = try currentPlan()
    var found: Double?
    for i in 0..<tensors.count
    where !tensors[i].removed && parsed.contains(where: { $0.matches(tensors[i]) }) {
      let resolved = plan.groups[plan.groupOf[i]].resolved
      if resolved.frozen { continue }
      let own = Recipe(
        stages: resolved.stages, before: recipe.before, rule: resolved.rule, clauses: [])
      let (stage, parameter) = try Ravine.find(key.name, in: own, forClause: false)
      let x = try value(of: parameter, stage, in: resolved)
      if let found, found != x {
        throw .argument(
          "'\(Text(text))' is \(found) for one tensor and \(x) for '\(tensors[i].text)'")
      }
      found = x
    }
    guard let found else { throw .name("no tensor that is stepped matches '\(Text(patterns))'") }
    return found
  }

  private func value(of parameter: Parameter, _ stage: Int?, in resolved: Resolved)
    throws(RavineError) -> Double
  {
    let element = stage.map { resolved.stages[$0] } ?? resolved.rule
    guard let k = try element.declaration.index(of: Text(parameter.name)) else { return .nan }
    switch element.values[k] {
    case .number(let x):
      if parameter.kind == .word { throw notANumber(parameter) }
      return x
    case .schedule(let s, let times): return times * (try curve(of: s)(Double(step)))
    default: throw notANumber(parameter)
    }
  }

  private func notANumber(_ p: Parameter) -> RavineError {
    .argument(
      "'\(p.name)' is a \(p.kind == .word ? "word" : "list"), fixed at creation, not a number"
        as Text)
  }

  public func set(_ text: [UInt8], _ x: Double) throws(RavineError) {
    let key = Key(text)
    let (stage, parameter) = try Ravine.find(key.name, in: recipe, forClause: key.patterns != nil)
    guard parameter.kind == .number || parameter.kind == .flag || parameter.kind == .count else {
      throw notANumber(parameter)
    }
    if let reason = parameter.reject(x) {
      throw .argument("'\(Text(text))' is set to \(x), \(reason)")
    }
    var next = recipe
    if let patterns = key.patterns {
      let assignment = Assignment(stage: stage, parameter: parameter.name, value: .number(x))
      let clause = Clause(patterns: try Parser.patterns(patterns), change: .arguments([assignment]))
      try replace(clause, in: &next)
      try adopt(next, clauses: 1)
    } else {
      try assign(x, to: parameter, stage, in: &next)
      let named: Text =
        try stage.map { (k) throws(RavineError) -> Text in
          "\(try stageName(k, in: next.stages)).\(parameter.name)"
        } ?? Text()
      try adopt(next, clauses: 0)
      // What began as the parameter is what is meant.
      if let scalars, let k = scalars.names.firstIndex(of: named) { scalars.values[k] = x }
    }
  }

  private func assign(_ x: Double, to parameter: Parameter, _ stage: Int?, in recipe: inout Recipe)
    throws(RavineError)
  {
    let element = stage.map { recipe.stages[$0] } ?? recipe.rule
    guard let k = try element.declaration.index(of: Text(parameter.name)) else { return }
    if let stage {
      recipe.stages[stage].values[k] = .number(x)
    } else {
      recipe.rule.values[k] = .number(x)
    }
  }

  /// Appends a clause in place of an earlier one that set the same, so that a loop that sets a key
  /// again and again does not grow the recipe.
  private func replace(_ clause: Clause, in recipe: inout Recipe) throws(RavineError) {
    guard case .arguments(let new) = clause.change else { return }
    let patterns = print(clause.patterns)
    var c = recipe.clauses.count - 1
    while c >= ownClauses {
      if case .arguments(let old) = recipe.clauses[c].change, old.count == 1,
        old[0].stage == new[0].stage, Text(old[0].parameter) == Text(new[0].parameter),
        print(recipe.clauses[c].patterns) == patterns
      {
        recipe.clauses.remove(at: c)
      }
      c -= 1
    }
    guard recipe.clauses.count < Limits.clauses else {
      throw .argument("the recipe has \(Limits.clauses) clauses already")
    }
    recipe.clauses.append(clause)
  }

  /// Appends a clause.
  public func override(_ patterns: [UInt8], _ change: [UInt8]) throws(RavineError) {
    guard recipe.clauses.count < Limits.clauses else {
      throw .argument("the recipe has \(Limits.clauses) clauses already")
    }
    var next = recipe
    next.clauses.append(try Parser.clause(patterns, change, for: recipe))
    try adopt(next, clauses: 1)
  }

  /// Takes another recipe, of which so many clauses at the end are new.
  private func adopt(_ next: Recipe, clauses: Int) throws(RavineError) {
    var next = next
    let reactions = try reactions(of: &next)
    try next.checkLength()
    if let plan {
      // Other numbers alone are put in place.
      let updated = clauses == 0 && !stale ? try plan.update(next) : false
      if !updated {
        return try take(next, checked: next.clauses.count - clauses, reactions)
      }
    }
    try checkMemory()
    recipe = next
    self.reactions = reactions
  }

  /// Takes a plan that was made for the tensors as they are prepared.
  func adopt(_ plan: Plan, _ recipe: Recipe, _ reactions: [Reaction]) {
    for i in 0..<tensors.count { tensors[i].group = plan.groupOf[i] }
    self.plan = plan
    self.recipe = recipe
    self.reactions = reactions
  }
}
