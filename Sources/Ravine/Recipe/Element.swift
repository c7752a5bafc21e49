import Kernels

/// What a parameter is set to.
enum Value {
  case number(Double)
  case list([Double])
  /// Schedules and numbers.
  case schedules([Value])
  /// A schedule, with a factor that clauses such as `lr=x0.1` put on it. In a box, so that values are
  /// small: the parser, which nests, holds many of them on a stack that may be small, too.
  indirect case schedule(Element, times: Double)
  /// `x0.1` in a clause: a multiple of what the recipe's own rule has.
  case times(Double)
  /// Not given, and without a default; only while parsing.
  case missing

  /// The number, where it does not depend on the step.
  var constant: Double? {
    if case .number(let x) = self { return x }
    return nil
  }
}

/// A rule, a stage or a schedule in a recipe, with a value for each of its parameters.
struct Element {
  // Halves of a word, for the same reason.
  private let shortEntry, shortRow: Int32
  var values: [Value]
  /// Which values the text gives; the others are defaults.
  var given: [Bool]
  /// The state of a reactive schedule in a handle; nil where there is no handle.
  var reaction: Reaction?

  init(entry: Int, row: Int, values: [Value], given: [Bool]) {
    shortEntry = Int32(entry)
    shortRow = Int32(row)
    self.values = values
    self.given = given
  }

  var entry: Int { Int(shortEntry) }
  /// Place among the entries of its kind.
  var row: Int { Int(shortRow) }

  var declaration: Declaration {
    get throws(RavineError) { try Catalog.shared()[entry].declaration }
  }

  /// Why its values do not go together, or nil.
  func conflict() throws(RavineError) -> Text? {
    let d = try declaration
    for (k, p) in d.parameters.enumerated() {
      guard let other = p.needs, let j = d.index(of: Text(other)) else { continue }
      if values[k].constant != 0, values[j].constant == 0 {
        return "\(d.name).\(p.name) needs \(other), which is 0"
      }
    }
    if d.kind == .stage, let reason = try facts(of: self).conflict { return "\(d.name): \(reason)" }
    return nil
  }
}

/// What a stage does with the values that it has.
func facts(of stage: Element) throws(RavineError) -> StageFacts {
  var values = [0.0]
  for value in stage.values { values.append(value.constant ?? 0) }
  let entry = try Catalog.shared().stage(stage.row)
  return values.withUnsafeBufferPointer { entry.facts($0.baseAddress.unsafelyUnwrapped + 1) }
}

/// A clause: for some tensors other arguments, another rule, or none.
struct Clause {
  enum Change {
    case arguments([Assignment])
    case rule(Element)
    case frozen
  }

  let patterns: [Pattern]
  var change: Change
}

/// `parameter=value` in a clause; `stage` is the place of a stage in the chain, nil the rule.
struct Assignment {
  let stage: Int?
  let parameter: StaticText
  var value: Value
}

/// A whole recipe.
struct Recipe {
  /// All of them, in order; the rule stands behind the first `before`.
  var stages: [Element]
  var before: Int
  var rule: Element
  var clauses: [Clause]
}

/// What holds for one tensor, or for all that the same clauses match.
struct Resolved {
  var stages: [Element]
  var rule: Element
  var frozen = false
}

extension Recipe {
  /// Its own rule, and those of its clauses.
  var rules: [Element] {
    var out = [rule]
    for clause in clauses { if case .rule(let element) = clause.change { out.append(element) } }
    return out
  }

  /// Applies the clauses with these numbers, in order.
  func resolve(_ applying: [Int]) throws(RavineError) -> Resolved {
    var out = Resolved(stages: stages, rule: rule)
    for i in applying {
      switch clauses[i].change {
      case .frozen:
        out.frozen = true
      case .rule(let element):
        out.rule = try relative(element)
        out.frozen = false
      case .arguments(let assignments):
        for a in assignments { try apply(a, to: &out, clause: clauses[i]) }
      }
      try checkMemory()
    }
    for element in out.stages + [out.rule] {
      if let reason = try element.conflict() { throw .argument(reason) }
    }
    return out
  }

  private func apply(_ a: Assignment, to out: inout Resolved, clause: Clause) throws(RavineError) {
    let element = a.stage.map { out.stages[$0] } ?? out.rule
    let declaration = try element.declaration
    guard let k = declaration.index(of: Text(a.parameter)) else {
      throw .name(
        "\(print(clause.patterns)): \(declaration.name) has no parameter '\(a.parameter)'")
    }
    let value = try combined(a.value, with: element.values[k], declaration.parameters[k])
    if let stage = a.stage {
      out.stages[stage].values[k] = value
    } else {
      out.rule.values[k] = value
    }
  }

  /// The rule of a clause, whose `x0.1` refer to the recipe's own rule.
  private func relative(_ element: Element) throws(RavineError) -> Element {
    var element = element
    let own = try rule.declaration, its = try element.declaration
    for k in 0..<element.values.count {
      guard case .times = element.values[k] else { continue }
      guard let j = own.index(of: Text(its.parameters[k].name)) else {
        throw .name("'\(its.parameters[k].name)' of \(own.name) does not exist, to be multiplied")
      }
      element.values[k] = try combined(element.values[k], with: rule.values[j], its.parameters[k])
    }
    return element
  }

  private func combined(_ value: Value, with old: Value, _ p: Parameter) throws(RavineError)
    -> Value
  {
    guard case .times(let factor) = value else { return value }
    switch old {
    case .number(let x):
      if let reason = p.reject(factor * x) {
        throw RavineError.argument("\(p.name)=x\(factor) makes \(factor * x), \(reason)")
      }
      return .number(factor * x)
    case .schedule(let s, let times): return .schedule(s, times: factor * times)
    default: return old
    }
  }
}

extension Declaration {
  func index(of name: Text) -> Int? {
    for i in 0..<parameters.count where name == parameters[i].name { return i }
    return nil
  }

  var parameterNames: [Text] {
    var out: [Text] = []
    for p in parameters { out.append(Text(p.name)) }
    return out
  }
}

extension Parameter {
  /// Why a number is not allowed, or nil.
  func reject(_ x: Double) -> Text? {
    let low = lowOpen ? x > self.low : x >= self.low
    let high = highOpen ? x < self.high : x <= self.high
    if !low || !high { return "which is outside \(range)" }
    if kind == .flag, x != 0, x != 1 { return "which is not 0 or 1" }
    if kind == .count, x != x.rounded(.towardZero) { return "which is not a whole number" }
    return nil
  }

  /// As mathematics writes it: [0, 1).
  var range: Text {
    let left: StaticText = lowOpen ? "(" : "["
    let right: StaticText = highOpen ? ")" : "]"
    return "\(left)\(low), \(high)\(right)"
  }
}
