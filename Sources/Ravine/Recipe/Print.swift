import CRavine
import Kernels

/// The canonical form: all values, defaults included, as text that parses to the same.
func print(_ recipe: Recipe) throws(RavineError) -> Text {
  var out = Text()
  for (k, stage) in recipe.stages.enumerated() {
    if k == recipe.before { out.append("\(try print(recipe.rule)) | ") }
    out.append(try print(stage))
    if k < recipe.stages.count - 1 || k < recipe.before { out.append(" | ") }
  }
  if recipe.before == recipe.stages.count { out.append(try print(recipe.rule)) }
  for clause in recipe.clauses {
    out.append("; ")
    out.append(print(clause.patterns))
    out.append(": ")
    switch clause.change {
    case .frozen: out.append("frozen")
    case .rule(let element): out.append(try print(element))
    case .arguments(let assignments):
      for (i, a) in assignments.enumerated() {
        if i > 0 { out.append(", ") }
        out.append(try print(a, in: recipe))
      }
    }
    try checkMemory()
  }
  return out
}

extension Recipe {
  /// Whether it can be read again from its canonical form, which a checkpoint holds.
  func checkLength() throws(RavineError) {
    let length = try print(self).bytes.count
    try checkMemory()
    guard length <= Limits.text else {
      throw RavineError(
        RVN_ERR_RECIPE,
        "the recipe has \(length) bytes with all defaults written out; \(Limits.text) is the limit")
    }
  }
}

func print(_ element: Element) throws(RavineError) -> Text {
  let declaration = try element.declaration
  var out: Text = "\(declaration.name)("
  for (k, parameter) in declaration.parameters.enumerated() {
    if k > 0 { out.append(", ") }
    out.append("\(parameter.name)=")
    out.append(try print(element.values[k], as: parameter))
  }
  out.append(")")
  return out
}

private func print(_ a: Assignment, in recipe: Recipe) throws(RavineError) -> Text {
  var out = Text()
  if let stage = a.stage { out.append("\(try stageName(stage, in: recipe.stages)).") }
  out.append("\(a.parameter)=")
  // A clause's rule may differ from the recipe's own, so any parameter of that name will do.
  out.append(try print(a.value, as: try parameter(a, in: recipe)))
  return out
}

func parameter(_ a: Assignment, in recipe: Recipe) throws(RavineError) -> Parameter {
  let element = a.stage.map { recipe.stages[$0] } ?? recipe.rule
  let own = try element.declaration
  if let k = own.index(of: Text(a.parameter)) { return own.parameters[k] }
  for clause in recipe.clauses {
    guard case .rule(let other) = clause.change else { continue }
    let declaration = try other.declaration
    if let k = declaration.index(of: Text(a.parameter)) { return declaration.parameters[k] }
  }
  throw .name("no rule of this recipe has a parameter '\(a.parameter)'")
}

func print(_ value: Value, as parameter: Parameter) throws(RavineError) -> Text {
  switch value {
  case .number(let x): return print(x, as: parameter)
  case .times(let x): return "x\(x)"
  case .missing: return "?"
  case .schedule(let element, let times):
    // Only resolved values carry a factor, and those are printed for reading only.
    return times == 1 ? try print(element) : "\(times) * \(try print(element))"
  case .list(let numbers):
    var out: Text = "("
    for (i, x) in numbers.enumerated() {
      out.append(i == 0 ? "\(x)" : ", \(x)")
      try checkMemory()
    }
    return "\(out)\(close(numbers.count))"
  case .schedules(let values):
    var out: Text = "("
    for (i, value) in values.enumerated() {
      if i > 0 { out.append(", ") }
      out.append(try print(value, as: parameter))
    }
    return "\(out)\(close(values.count))"
  }
}

/// Behind the last of so many: (1, 2) and (1,).
private func close(_ count: Int) -> StaticText { count == 1 ? ",)" : ")" }

func print(_ x: Double, as parameter: Parameter) -> Text {
  if parameter.kind == .word, x >= 0, x < Double(parameter.words.count) {
    return Text(parameter.words[Int(x)])
  }
  return "\(x)"
}
