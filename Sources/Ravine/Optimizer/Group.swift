import Kernels

/// Where a hyper-parameter's value comes from.
struct Source {
  /// Where no schedule moves it.
  let number: Double
  let curve: Curve?
  private let parameter: Parameter
  private let owner: StaticString

  init(_ value: Value, _ parameter: Parameter, owner: StaticString) throws(RavineError) {
    self.parameter = parameter
    self.owner = owner
    number = value.constant ?? 0
    if case .schedule(let element, let times) = value {
      let inner = try Ravine.curve(of: element)
      curve = times == 1 ? inner : { times * inner($0) }
    } else {
      curve = nil
    }
  }

  /// The value at a step. A schedule that leaves its parameter's range is an error.
  func value(at t: Double) throws(RavineError) -> Double {
    guard let curve else { return number }
    let x = curve(t)
    if x.isNaN {
      throw .argument(
        "\(owner).\(parameter.name) has no value at step \(t): its schedule ended, or overflows 64 bits"
      )
    }
    if let reason = parameter.reject(x) {
      throw .argument("\(owner).\(parameter.name) is \(x) at step \(t), \(reason)")
    }
    return x
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
    let same = try slots() == (try other.slots())
    return try starts() == (try other.starts()) && same
  }

  /// What the slots start at.
  func starts() throws(RavineError) -> [Double] {
    let d = try resolved.rule.declaration
    var out: [Double] = []
    for slot in d.slots {
      guard let name = slot.initial, let k = d.index(of: Text(name)) else {
        out.append(0)
        continue
      }
      let source = try Source(resolved.rule.values[k], d.parameters[k], owner: d.name)
      out.append(try source.value(at: 0))
    }
    return out
  }

}

/// A hyper-parameter that a schedule moves, and where its value goes.
struct Moving {
  let source: Source
  let target: UnsafeMutablePointer<Double>

  func move(to t: Double) throws(RavineError) { target.pointee = try source.value(at: t) }
}
